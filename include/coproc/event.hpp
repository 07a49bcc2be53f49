// Something that has happened, or not yet, for all processes of a program.
#pragma once

#include <coproc/detail/shared_object.hpp>
#include <coproc/task.hpp>

#include <chrono>

namespace coproc {

/// A flag that all holders of this handle share, in whatever processes, and can wait for.
///
///     coproc::event start;
///     co_await start.wait();               // in as many processes as there are
///     start.set();                         // wakes all of them; who waits later doesn't wait
///
/// Death:    one that dies waiting harms nobody. One that dies before it sets the event sets nothing.
/// Lifetime: lives as long as any handle; see detail::shared_object. 128 bytes of shared memory, no descriptor of its own.
/// Errors:   std::system_error when there is no memory, or, for who waits, no descriptor to watch the others with.
/// Cost:     no system call unless somebody waits; one message for each event loop or thread that does. Thread-safe.
class event : public detail::shared_object {
public:
    /// Not set.
    event() noexcept;

    /// Wakes all that wait, also if it is cleared at once. Nothing happens if it is set.
    void set() const;
    void clear() const;
    [[nodiscard]] bool is_set() const;

    /// Until it is set, or was meanwhile. Cancelling (operation_aborted) leaves no trace.
    [[nodiscard]] task<> wait() const;
    /// For at most `time`; false: it was not set.
    [[nodiscard]] task<bool> wait_for(std::chrono::nanoseconds time) const;
};

} // namespace coproc
