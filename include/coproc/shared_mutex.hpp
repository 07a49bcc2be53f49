// Many read, or one writes: between the processes of a program.
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

struct shared_mutex_state;

struct shared_mutex_hold {
    shared_mutex_state* state = nullptr;
    std::uint32_t owner = 0, account = 0;
    bool exclusive = false, owner_died = false;
    void give_back(std::shared_ptr<object_place>& place) noexcept;
};

} // namespace detail

/// Has a shared mutex, as a reader or as the writer, until it is destroyed or released. Movable; any thread or coroutine of
/// its process may hold and release it.
class shared_mutex_guard : public detail::guard<detail::shared_mutex_hold> {
public:
    shared_mutex_guard() noexcept = default;

    /// Whether a writer died with it, and no writer has had it since: what it protects may be half changed.
    [[nodiscard]] bool owner_died() const noexcept { return hold_.owner_died; }

    /// For the library.
    shared_mutex_guard(std::shared_ptr<detail::object_place> place, detail::shared_mutex_state& state, std::uint32_t account,
                       bool exclusive, bool owner_died) noexcept;
};

/// A mutex that one writer has, or any number of readers.
///
///     coproc::shared_mutex mutex;
///     auto writing = co_await mutex.acquire();
///     auto reading = co_await mutex.acquire_shared();
///     std::shared_lock reading{mutex};           // in a plain function; std::unique_lock to write
///
/// Fairness: writers come first: while one waits, no more readers are let in, but for one that was passed over eight times.
/// Death:    a reader's share comes back when its process dies; so does the writer's, and whoever has it next is told
///           (shared_mutex_guard::owner_died) until a writer has had it, who is told, too. At whatever instruction it dies.
/// Owner:    the process. Who has it as a reader and waits for it as the writer waits for ever.
/// Lifetime: lives as long as any handle; see detail::shared_object. 960 bytes of shared memory, no descriptor of its own.
/// Errors:   std::system_error as for a mutex, and when more than 96 processes have it at the same time.
/// Cost:     one atomic instruction to take it while it can be had, and one to give it back; one more, to enter who has it, when
///           another process was the last to do either. Two messages for each that waits. Thread-safe.
class shared_mutex : public detail::shared_object {
public:
    shared_mutex() noexcept;

    /// As the writer. Cancelling (operation_aborted) leaves no trace.
    [[nodiscard]] task<shared_mutex_guard> acquire() const;
    /// At once or not at all.
    [[nodiscard]] std::optional<shared_mutex_guard> try_acquire() const;
    /// Waits for at most `time`.
    [[nodiscard]] task<std::optional<shared_mutex_guard>> try_acquire_for(std::chrono::nanoseconds time) const;

    /// As a reader.
    [[nodiscard]] task<shared_mutex_guard> acquire_shared() const;
    [[nodiscard]] std::optional<shared_mutex_guard> try_acquire_shared() const;
    [[nodiscard]] task<std::optional<shared_mutex_guard>> try_acquire_shared_for(std::chrono::nanoseconds time) const;

    /// Blocks the thread. A dead writer is not told of: use acquire for that.
    void lock() const;
    [[nodiscard]] bool try_lock() const;
    [[nodiscard]] bool try_lock_for(std::chrono::nanoseconds time) const;
    template <class Clock, class Duration>
    [[nodiscard]] bool try_lock_until(std::chrono::time_point<Clock, Duration> time) const
    {
        return try_lock_for(time - Clock::now());
    }
    /// Throws usage_error if this process isn't the writer.
    void unlock() const;

    void lock_shared() const;
    [[nodiscard]] bool try_lock_shared() const;
    [[nodiscard]] bool try_lock_shared_for(std::chrono::nanoseconds time) const;
    template <class Clock, class Duration>
    [[nodiscard]] bool try_lock_shared_until(std::chrono::time_point<Clock, Duration> time) const
    {
        return try_lock_shared_for(time - Clock::now());
    }
    /// Throws usage_error if this process isn't a reader.
    void unlock_shared() const;
};

} // namespace coproc
