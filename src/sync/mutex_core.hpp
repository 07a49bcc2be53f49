// How processes agree on who has a mutex. No waiting here: see waiting.hpp.
//
//     word    0          1                       2           3
//             free       owner (a process)       contended   handed
//
//   - Free is zero; taking it then is one compare-and-swap, and so is releasing it when nobody waits.
//   - Contended: somebody sleeps, or did. Who releases it wakes one of them. A woken one takes it contended again, because
//     more may sleep.
//   - Who comes at the right moment may take it before the one that was woken: that is fast, for the mutex rests only as long
//     as nobody is there. One that was passed over `patience` times says so (`hungry`); the next release gives the mutex
//     to its process directly: handed, until somebody there claims it.
//   - A dead owner's mutex belongs to whoever takes it over first, who is told. If it was only handed to the dead one, there
//     is nothing to tell.
#pragma once

#include "sync/cell.hpp"
#include "sync/gate.hpp"
#include "sync/party.hpp"
#include "sync/registry.hpp"

#include <cstdint>

namespace coproc::detail {

/// In shared memory; all zero is free.
struct mutex_state {
    cell<std::uint64_t> word;
    cell<member> hungry;
    gate waiting;
};

enum class taken { no, yes, from_dead };

/// Takes it if it can be had. With `contended` it is marked as contended in either case: for who is about to sleep.
[[nodiscard]] taken try_take(mutex_state& mutex, const registry& all, bool contended) noexcept;
/// Whether this process has it.
[[nodiscard]] bool is_mine(const mutex_state& mutex, const registry& all) noexcept;
/// Whether anybody who lives has it.
[[nodiscard]] bool is_taken(const mutex_state& mutex, const registry& all) noexcept;
/// Who has it; 0: nobody.
[[nodiscard]] member owner_of(const mutex_state& mutex) noexcept;
/// It is this process's.
void give_back(mutex_state& mutex, const registry& all) noexcept;
/// This sleeper was passed over too often.
void be_hungry(mutex_state& mutex, member sleeper) noexcept;
/// This sleeper leaves: what was handed to it, or woke it, goes to somebody else.
void pass_on(mutex_state& mutex, const registry& all, member sleeper) noexcept;

/// For waiting.hpp.
class mutex_wait {
public:
    mutex_wait(mutex_state& mutex, const registry& all) noexcept : mutex_{mutex}, all_{all} {}

    [[nodiscard]] gate& place() const noexcept { return mutex_.waiting; }
    [[nodiscard]] static wakes how() noexcept { return wakes::one; }
    bool try_now(member sleeper, unsigned tries) noexcept;
    void pass_on(member sleeper) noexcept { detail::pass_on(mutex_, all_, sleeper); }
    [[nodiscard]] taken result() const noexcept { return result_; }

private:
    static constexpr unsigned patience = 8;

    mutex_state& mutex_;
    const registry& all_;
    taken result_ = taken::no;
};

} // namespace coproc::detail
