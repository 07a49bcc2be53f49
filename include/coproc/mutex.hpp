// Mutual exclusion between the processes of a program.
#pragma once

#include <coproc/detail/guard.hpp>
#include <coproc/detail/shared_object.hpp>
#include <coproc/task.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <utility>

namespace coproc {

namespace detail {

struct mutex_state;

struct mutex_hold {
    mutex_state* state = nullptr;
    bool owner_died = false;
    void give_back(std::shared_ptr<object_place>& place) noexcept;
};

} // namespace detail

/// Has a mutex until it is destroyed or released. Movable; any thread or coroutine of its process may hold and release it.
class mutex_guard : public detail::guard<detail::mutex_hold> {
public:
    mutex_guard() noexcept = default;

    /// Whether the one who had it before died with it: what it protects may be half changed.
    [[nodiscard]] bool owner_died() const noexcept { return hold_.owner_died; }

    /// For the library.
    mutex_guard(std::shared_ptr<detail::object_place> place, detail::mutex_state& mutex, bool owner_died) noexcept
        : guard{std::move(place), {&mutex, owner_died}}
    {
    }
    [[nodiscard]] detail::mutex_state* state() const noexcept { return hold_.state; }
    [[nodiscard]] const std::shared_ptr<detail::object_place>& place() const noexcept { return place_; }
};

/// A mutex that all holders of this handle share, in whatever processes.
///
///     coproc::mutex mutex;                       // pass it to tasks, processes, queues ...
///     auto held = co_await mutex.acquire();      // in a coroutine
///     std::scoped_lock held{mutex};              // in a plain function, which blocks its thread
///
/// Fairness: who comes when it is free takes it, before those that are being woken; who was passed over eight times gets it
///           next.
/// Death:    a process that dies with it loses it to the next one, who is told (mutex_guard::owner_died). One that dies
///           waiting harms nobody.
/// Owner:    the process. It is not recursive: a coroutine that acquires it twice waits for ever; a thread that blocks for
///           what it has locked itself gets std::system_error (resource_deadlock_would_occur).
/// Lifetime: lives as long as any handle; see detail::shared_object. 192 bytes of shared memory, no descriptor of its own.
/// Errors:   std::system_error when there is no memory, or no descriptor to watch the others with (one for each process that
///           shares anything with this one, once somebody has to wait).
/// Cost:     one atomic instruction to take it while it is free, and one to give it back; two messages if somebody waits.
class mutex : public detail::shared_object {
public:
    mutex() noexcept;

    /// Waits until it is this process's. Cancelling (operation_aborted) leaves no trace.
    [[nodiscard]] task<mutex_guard> acquire() const;
    /// At once or not at all.
    [[nodiscard]] std::optional<mutex_guard> try_acquire() const;
    /// Waits for at most `time`.
    [[nodiscard]] task<std::optional<mutex_guard>> try_acquire_for(std::chrono::nanoseconds time) const;

    /// Blocks the thread. A dead owner is not told of: use acquire for that.
    void lock() const;
    [[nodiscard]] bool try_lock() const;
    [[nodiscard]] bool try_lock_for(std::chrono::nanoseconds time) const;
    template <class Clock, class Duration>
    [[nodiscard]] bool try_lock_until(std::chrono::time_point<Clock, Duration> time) const
    {
        auto now = Clock::now();
        return try_lock_for(time > now ? std::chrono::ceil<std::chrono::nanoseconds>(time - now) : std::chrono::nanoseconds{0});
    }
    /// Throws usage_error if this process doesn't have it.
    void unlock() const;

    /// Whether somebody has it at this moment.
    [[nodiscard]] bool locked() const;

    /// For the library: the mutex there.
    explicit mutex(std::shared_ptr<detail::object_place> place) noexcept;
};

} // namespace coproc
