// Permits that the processes of a program share.
#pragma once

#include <coproc/detail/guard.hpp>
#include <coproc/detail/shared_object.hpp>
#include <coproc/task.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace coproc {

namespace detail {

struct semaphore_state;

struct permit_hold {
    semaphore_state* state = nullptr;
    std::uint32_t owner = 0, account = 0;
    void give_back(std::shared_ptr<object_place>& place) noexcept;
};

} // namespace detail

/// Has one permit until it is destroyed or released. Movable; any thread or coroutine of its process may hold and release it.
class semaphore_permit : public detail::guard<detail::permit_hold> {
public:
    semaphore_permit() noexcept = default;

    /// Uses it up: it never comes back by itself. For a semaphore that counts what somebody has produced.
    void consume() noexcept;

    /// For the library.
    semaphore_permit(std::shared_ptr<detail::object_place> place, detail::semaphore_state& semaphore, std::uint32_t account) noexcept;
};

namespace detail {

/// What semaphores of both kinds have in common.
class basic_semaphore : public shared_object {
public:
    /// Waits for a permit. Cancelling (operation_aborted) leaves no trace.
    [[nodiscard]] task<semaphore_permit> acquire() const;
    /// At once or not at all.
    [[nodiscard]] std::optional<semaphore_permit> try_acquire() const;
    /// Waits for at most `time`.
    [[nodiscard]] task<std::optional<semaphore_permit>> try_acquire_for(std::chrono::nanoseconds time) const;

    /// Takes a permit for this process, and blocks the thread until it has one.
    void lock() const;
    [[nodiscard]] bool try_lock() const;
    [[nodiscard]] bool try_lock_for(std::chrono::nanoseconds time) const;
    template <class Clock, class Duration>
    [[nodiscard]] bool try_lock_until(std::chrono::time_point<Clock, Duration> time) const
    {
        return try_lock_for(time - Clock::now());
    }
    /// Gives one back. Throws usage_error if this process has none.
    void unlock() const;

    /// Permits that are there at this moment.
    [[nodiscard]] std::uint32_t value() const;

protected:
    explicit basic_semaphore(object_kind kind) noexcept;
    void begin_with(std::uint32_t permits, std::uint32_t most);
    /// False: there would be too many.
    [[nodiscard]] bool add(std::uint32_t count) const;
};

} // namespace detail

/// A number of permits that all holders of this handle share, in whatever processes.
///
///     coproc::semaphore semaphore{2};
///     auto permit = co_await semaphore.acquire();   // in a coroutine; given back at the end of the block
///     std::scoped_lock permit{semaphore};           // in a plain function, which blocks its thread
///     semaphore.release(3);                         // three more, whoever holds how many
///
/// Fairness: who comes when there is a permit takes it, before those that are being woken; for who was passed over eight
///           times the next one is kept.
/// Death:    the permits of a process that dies come back, each exactly once, at whatever instruction it dies. One that dies
///           waiting harms nobody. Of more than 96 processes that hold permits at the same time, those of the rest don't
///           come back.
/// Lifetime: lives as long as any handle; see detail::shared_object. 896 bytes of shared memory, no descriptor of its own.
/// Errors:   std::system_error when there is no memory, or no descriptor to watch the others with (one for each process that
///           shares anything with this one, once somebody has to wait).
/// Cost:     one atomic instruction to take a permit that is there, and one to give it back; one more, to enter who has it, when
///           another process was the last to do either. Two messages if somebody waits. Thread-safe.
class semaphore : public detail::basic_semaphore {
public:
    /// With no permits.
    semaphore() noexcept;
    explicit semaphore(std::uint32_t permits);

    /// So many permits more; no permit need be held. Throws usage_error beyond 4294967295.
    void release(std::uint32_t count = 1) const;
};

} // namespace coproc
