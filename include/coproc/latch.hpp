// Waiting until so many things are done, in whatever processes.
#pragma once

#include <coproc/detail/shared_object.hpp>
#include <coproc/task.hpp>

#include <chrono>
#include <cstdint>

namespace coproc {

/// A counter that goes down to zero once, and that all holders of this handle share.
///
///     coproc::latch done{4};
///     done.count_down();                   // in each of four processes
///     co_await done.wait();                // until all have
///
/// Death:    one that dies waiting harms nobody. One that dies before it counts down counts nothing: join the process too,
///           or use a barrier, where that is to be noticed.
/// Lifetime: lives as long as any handle; see detail::shared_object. 128 bytes of shared memory, no descriptor of its own.
/// Errors:   std::system_error when there is no memory, or, for who waits, no descriptor to watch the others with.
/// Cost:     one atomic instruction to count down; one message, at the end, for each event loop or thread that waits.
///           Thread-safe.
class latch : public detail::shared_object {
public:
    /// At zero: nobody waits for it.
    latch() noexcept;
    explicit latch(std::uint32_t count);

    /// Throws usage_error below zero; the count stays then.
    void count_down(std::uint32_t by = 1) const;
    /// Whether it is at zero.
    [[nodiscard]] bool try_wait() const;
    /// What is left to be counted.
    [[nodiscard]] std::uint32_t value() const;

    /// Until it is at zero. Cancelling (operation_aborted) leaves no trace.
    [[nodiscard]] task<> wait() const;
    /// For at most `time`; false: it is not at zero.
    [[nodiscard]] task<bool> wait_for(std::chrono::nanoseconds time) const;
    /// Counts down, at once, and waits.
    [[nodiscard]] task<> arrive_and_wait(std::uint32_t by = 1) const;
};

} // namespace coproc
