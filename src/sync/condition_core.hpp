// How processes agree on who is notified. No waiting here: see waiting.hpp.
//
// For each process that waits, one word: owner (32), waiting (16), notified (16). A notification is given to a process with
// more that wait than are notified, and is taken there by the one that has waited longest. So notifications are never more than
// those that wait, and none is left for who comes later.
//
//   - Who leaves without having claimed one (cancelled, out of time) hands on what is too many then.
//   - What a dead process was given and didn't take is given to another one by whoever notices. If that one dies meanwhile,
//     it is given twice: somebody wakes for nothing, but nobody sleeps who shouldn't.
#pragma once

#include "os/stamp.hpp"
#include "sync/cell.hpp"
#include "sync/mutex_core.hpp"

#include <coproc/mutex.hpp>

#include <array>
#include <cstdint>

namespace coproc::detail {

/// In shared memory.
struct condition_state {
    static constexpr std::uint32_t processes = places_of_processes;

    object_header header;
    cell<std::uint32_t> turn; ///< where to look first, so that everybody's turn comes
    mutex_state mutex;
    gate waiting;
    std::array<cell<std::uint64_t>, processes> waiters;
};

/// Tells at most so many of those that wait, and wakes them; gives their number.
std::uint32_t notify(condition_state& s, const registry& all, std::uint32_t count) noexcept;

/// For waiting.hpp. Releases the mutex when it has joined those that wait. Who is notified claims that when it has the mutex
/// again: until then it may still leave, or die, and the notification is another one's.
class condition_wait {
public:
    condition_wait(condition_state& s, const registry& all, mutex_guard& held) noexcept
        : state_{s}, all_{all}, held_{held}, stamp_{os::process_stamp()}
    {
    }
    ~condition_wait() { leave(); }
    condition_wait(const condition_wait&) = delete;
    condition_wait& operator=(const condition_wait&) = delete;

    [[nodiscard]] gate& place() const noexcept { return state_.waiting; }
    [[nodiscard]] static wakes how() noexcept { return wakes::all; }
    /// Throws std::system_error when too many processes wait.
    bool try_now(member sleeper, unsigned tries);
    void pass_on(member) noexcept {} // when this ends
    /// Takes the notification; false: there is none.
    [[nodiscard]] bool claim() noexcept;

private:
    void join();
    [[nodiscard]] bool is_told() noexcept;
    void leave() noexcept;
    template <class F>
    bool go(F f) noexcept;

    condition_state& state_;
    const registry& all_;
    mutex_guard& held_;
    std::uint64_t stamp_; ///< of the process that waits: a copy of it doesn't
    bool joined_ = false;
};

} // namespace coproc::detail
