// A mutex that its owner may take again, between the processes of a program.
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

struct recursive_mutex_object;

struct recursive_mutex_hold {
    recursive_mutex_object* state = nullptr;
    bool owner_died = false;
    void give_back(std::shared_ptr<object_place>& place) noexcept;
};

} // namespace detail

/// Has a recursive mutex once until it is destroyed or released. Movable.
class recursive_mutex_guard : public detail::guard<detail::recursive_mutex_hold> {
public:
    recursive_mutex_guard() noexcept = default;

    /// Whether the one who had it before died with it: what it protects may be half changed.
    [[nodiscard]] bool owner_died() const noexcept { return hold_.owner_died; }

    /// For the library.
    recursive_mutex_guard(std::shared_ptr<detail::object_place> place, detail::recursive_mutex_object& object, bool owner_died) noexcept
        : guard{std::move(place), {&object, owner_died}}
    {
    }
};

/// A mutex whose owner may take it as often as it likes, and has it until it has given it back as often.
///
///     auto outer = co_await mutex.acquire();
///     auto inner = co_await mutex.acquire();   // also in a function that this coroutine awaits: doesn't wait
///
/// Owner:    of acquire, a coroutine that was spawned, with all that it awaits, but not what it spawns (`a && b` spawns
///           both) or runs in sync_wait; of lock, a thread. A coroutine and the thread that runs it are two owners: don't
///           lock in a coroutine what it has acquired. A guard may outlive the coroutine that took it, and be released
///           anywhere in its process; a coroutine that is spawned after the owner has ended may then be taken for it.
/// Fairness, death, lifetime, errors, cost: those of coproc::mutex. Thread-safe.
class recursive_mutex : public detail::shared_object {
public:
    recursive_mutex() noexcept;

    /// Waits until it is this coroutine's, once more. Cancelling (operation_aborted) leaves no trace.
    [[nodiscard]] task<recursive_mutex_guard> acquire() const;
    /// Awaitable, as only a coroutine knows which one it is, but doesn't wait: at once or not at all.
    [[nodiscard]] task<std::optional<recursive_mutex_guard>> try_acquire() const;
    /// Waits for at most `time`.
    [[nodiscard]] task<std::optional<recursive_mutex_guard>> try_acquire_for(std::chrono::nanoseconds time) const;

    /// Blocks the thread until it is this thread's, once more. A dead owner is not told of.
    void lock() const;
    [[nodiscard]] bool try_lock() const;
    [[nodiscard]] bool try_lock_for(std::chrono::nanoseconds time) const;
    template <class Clock, class Duration>
    [[nodiscard]] bool try_lock_until(std::chrono::time_point<Clock, Duration> time) const
    {
        return try_lock_for(time - Clock::now());
    }
    /// Throws usage_error if this thread doesn't have it.
    void unlock() const;

    /// Whether somebody has it at this moment.
    [[nodiscard]] bool locked() const;
};

} // namespace coproc
