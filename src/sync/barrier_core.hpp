// How processes agree that all have arrived. No waiting here: see waiting.hpp.
//
//     the word      arrived (24)   round (24)   life (15)   broken (1)
//     the marks     owner (32)   round (16)   waiting (16)         one for each process that is at the barrier
//
//   - Who arrives marks that first and counts itself then. So if it dies between the two, the barrier breaks too early rather
//     than never: it is broken when anybody finds a mark of this round of somebody dead.
//   - The last one of a round begins the next one, which makes the marks of the old one worth nothing.
//   - A reset begins a new life: who still waits in the old one finds it broken.
#pragma once

#include "os/stamp.hpp"
#include "sync/cell.hpp"
#include "sync/gate.hpp"
#include "sync/party.hpp"
#include "sync/registry.hpp"

#include <coproc/detail/shared_object.hpp>

#include <array>
#include <cstdint>

namespace coproc::detail {

/// In shared memory.
struct barrier_state {
    static constexpr std::uint32_t processes = places_of_processes;

    object_header header;
    std::uint32_t parties; ///< never changed; 0 is 1
    cell<std::uint64_t> word;
    gate waiting;
    std::array<cell<std::uint64_t>, processes> marks;
};

/// A round of a life.
struct barrier_round {
    std::uint32_t round = 0, life = 0;
};

enum class arrival { early, last, full, broken };
enum class round_end { not_yet, passed, broken };

[[nodiscard]] inline std::uint32_t parties_of(const barrier_state& b) noexcept { return b.parties == 0 ? 1 : b.parties; }
/// Arrives in the round that it tells. Last: all are there, and the round is to be ended by end_round. Full: all were there
/// before; to be tried again when the round has ended. Throws std::system_error when too many processes are there.
[[nodiscard]] arrival arrive(barrier_state& b, const registry& all, barrier_round& round);
/// False: it was broken before.
[[nodiscard]] bool end_round(barrier_state& b, const registry& all, barrier_round round) noexcept;
[[nodiscard]] round_end look(barrier_state& b, const registry& all, barrier_round round) noexcept;
/// Breaks it if the round hasn't ended.
void break_round(barrier_state& b, const registry& all, barrier_round round) noexcept;
void break_now(barrier_state& b, const registry& all) noexcept;
[[nodiscard]] bool is_broken(barrier_state& b, const registry& all) noexcept;
/// Those that have arrived in this round.
[[nodiscard]] std::uint32_t arrived(const barrier_state& b) noexcept;
void reset(barrier_state& b, const registry& all) noexcept;

/// For waiting.hpp: the end of a round. Who is part of it breaks it by leaving early.
class barrier_wait {
public:
    barrier_wait(barrier_state& b, const registry& all, barrier_round round, bool is_part) noexcept
        : barrier_{b}, all_{all}, round_{round}, is_part_{is_part}, stamp_{os::process_stamp()}
    {
    }
    ~barrier_wait() { pass_on(0); }
    barrier_wait(const barrier_wait&) = delete;
    barrier_wait& operator=(const barrier_wait&) = delete;

    [[nodiscard]] gate& place() const noexcept { return barrier_.waiting; }
    [[nodiscard]] static wakes how() noexcept { return wakes::all; }
    bool try_now(member, unsigned) noexcept
    {
        result_ = look(barrier_, all_, round_);
        return result_ != round_end::not_yet;
    }
    void pass_on(member) noexcept
    {
        if (is_part_ && stamp_ == os::process_stamp())
            break_round(barrier_, all_, round_);
    }
    [[nodiscard]] round_end result() const noexcept { return result_; }

private:
    barrier_state& barrier_;
    const registry& all_;
    barrier_round round_;
    bool is_part_;
    std::uint64_t stamp_; ///< of the process that waits: a copy of it doesn't
    round_end result_ = round_end::not_yet;
};

} // namespace coproc::detail
