// Waiting until something that a lock protects has changed, in whatever process.
#pragma once

#include <coproc/detail/shared_object.hpp>
#include <coproc/mutex.hpp>
#include <coproc/task.hpp>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace coproc {

/// A condition variable with a mutex of its own, that all holders of this handle share, in whatever processes.
///
///     coproc::condition condition;
///     auto held = co_await condition.acquire();
///     co_await condition.wait(held, [&] { return !items.empty(); });   // held again when it is true
///     ...
///     condition.notify_one();                                          // with the lock or without
///
/// Several conditions may share a mutex: acquire that one, and wait with its guard.
///
/// A notification wakes those that wait at that moment; it is not stored for who comes later. Without a predicate a wait may
/// rarely end for nothing, after a death.
///
/// Death:    one that dies waiting is skipped; what it was told is told to another one. One that dies with the lock loses it
///           to the next one, who is told (mutex_guard::owner_died).
/// Cancel:   operation_aborted; the guard is empty then, as getting the lock back could take for ever. No notification is lost.
/// Lifetime: lives as long as any handle; see detail::shared_object. 1024 bytes of shared memory, no descriptor of its own.
/// Errors:   std::system_error as for a mutex, and when more than 96 processes wait at the same time.
/// Cost:     acquire: that of a mutex. A notification: one atomic instruction, and one message for each event loop and each
///           blocked thread of the process that it goes to, whose waiters all look whether it is theirs; no system call if
///           nobody waits. Thread-safe.
class condition : public detail::shared_object {
public:
    condition() noexcept;

    /// Its lock, as mutex::acquire.
    [[nodiscard]] task<mutex_guard> acquire() const;
    [[nodiscard]] std::optional<mutex_guard> try_acquire() const;
    [[nodiscard]] task<std::optional<mutex_guard>> try_acquire_for(std::chrono::nanoseconds time) const;

    /// Gives the lock back, waits until it is notified, and takes the lock again; `held` is of this condition's own lock, or
    /// of any mutex, the same for all who wait, and must live until then. Throws usage_error if it has none.
    [[nodiscard]] task<> wait(mutex_guard& held) const;
    /// Until `predicate()` is true, which is called with the lock held.
    template <std::predicate Predicate>
    [[nodiscard]] task<> wait(mutex_guard& held, Predicate predicate) const
    {
        return wait_until_true(*this, held, std::move(predicate));
    }

    /// As wait, for at most `time` until the notification, and however long it takes to get the lock again. False: there was
    /// none.
    [[nodiscard]] task<bool> wait_for(mutex_guard& held, std::chrono::nanoseconds time) const;
    /// False: the time was up and `predicate()` isn't true.
    template <std::predicate Predicate>
    [[nodiscard]] task<bool> wait_for(mutex_guard& held, std::chrono::nanoseconds time, Predicate predicate) const
    {
        return wait_for_true(*this, held, time, std::move(predicate));
    }

    /// Wakes so many of those that wait, or all if they are fewer; gives their number. One that was killed counts until
    /// somebody who sleeps has noticed; what it was told is then another one's.
    std::uint32_t notify(std::uint32_t count) const;
    std::uint32_t notify_one() const { return notify(1); }
    std::uint32_t notify_all() const;

private:
    template <class Predicate>
    static task<> wait_until_true(condition self, mutex_guard& held, Predicate predicate)
    {
        while (!predicate()) {
            auto notified = self.wait(held);
            co_await std::move(notified);
        }
    }
    template <class Predicate>
    static task<bool> wait_for_true(condition self, mutex_guard& held, std::chrono::nanoseconds time, Predicate predicate)
    {
        auto begin = std::chrono::steady_clock::now();
        while (!predicate()) {
            auto notified = self.wait_for(held, time - (std::chrono::steady_clock::now() - begin));
            if (!co_await std::move(notified))
                co_return static_cast<bool>(predicate());
        }
        co_return true;
    }
};

} // namespace coproc
