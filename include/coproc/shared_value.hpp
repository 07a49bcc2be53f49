// One value in shared memory.
#pragma once

#include <coproc/detail/fingerprint.hpp>
#include <coproc/detail/shared_object.hpp>
#include <coproc/mutex.hpp>
#include <coproc/task.hpp>

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <type_traits>
#include <utility>

namespace coproc {

namespace detail {

/// In shared memory, before the value.
struct value_head {
    object_header header;
    std::atomic<std::uint32_t> watched; ///< somebody waits for a change
    std::atomic<std::uint32_t> current; ///< which of two copies of a large value is the valid one
    alignas(64) std::byte sync[256];    ///< a gate and a mutex
};

[[nodiscard]] task<mutex_guard> acquire_value(std::shared_ptr<object_place> place, value_head& head);
[[nodiscard]] mutex_guard lock_value(std::shared_ptr<object_place> place, value_head& head);
/// Wakes who waits for a change.
void value_has_changed(value_head& head) noexcept;
/// Until `changed` says yes.
struct change {
    virtual bool changed() = 0;

protected:
    ~change() = default;
};
[[nodiscard]] task<> wait_for_change(std::shared_ptr<object_place> place, value_head& head, change& what);

} // namespace detail

/// A value of a trivially copyable type in shared memory, zero at first; copies of the handle, in whatever processes, are
/// handles of the same value.
///
/// Each function is atomic, as those of std::atomic with sequential consistency: one instruction for types that the machine
/// can change at once (8 bytes, as a rule; is_always_lock_free), under the value's own lock for larger ones, which a thread
/// that calls it waits for. A process that dies in the middle of a change has changed nothing.
///
/// Lifetime: lives as long as any handle. Thread-safe.
template <class T>
class shared_value : public detail::shared_object {
    static_assert(std::is_trivially_copyable_v<T>,
                  "coproc: a shared value's type must be trivially copyable, as bytes are all that processes share: use "
                  "coproc::shared_segment for containers, or a manager for objects");

public:
    using value_type = T;
    static constexpr bool is_always_lock_free = sizeof(T) <= 16 && std::atomic_ref<T>::is_always_lock_free;

    /// T{}, made when it is first used.
    shared_value() noexcept : shared_object{detail::object_kind::value, sizeof(object), detail::fingerprint<T>} {}
    explicit shared_value(T value) : shared_value{} { copy(0) = value; }

    using shared_object::load; // from a message
    [[nodiscard]] T load() const
    {
        if constexpr (is_always_lock_free)
            return atomic().load();
        else {
            auto held = locked();
            return valid();
        }
    }
    void store(T value) const
    {
        if constexpr (is_always_lock_free)
            atomic().store(value);
        else {
            auto held = locked();
            set(value);
        }
        tell();
    }
    T exchange(T value) const
    {
        return change([&](T& now) { return std::exchange(now, value); });
    }
    /// Sets it to `value` if it is `expected`, byte for byte; else tells what it is. True if it was.
    bool compare_exchange(T& expected, T value) const
    {
        if constexpr (is_always_lock_free) {
            bool done = atomic().compare_exchange_strong(expected, value);
            if (done)
                tell();
            return done;
        } else {
            return change([&](T& now) {
                bool same = std::memcmp(&now, &expected, sizeof(T)) == 0;
                (same ? now : expected) = same ? value : now;
                return same;
            });
        }
    }

    /// Each gives the value before.
    T fetch_add(T by) const
        requires(std::integral<T> || std::floating_point<T>)
    {
        return tell_of(atomic().fetch_add(by));
    }
    T fetch_sub(T by) const
        requires(std::integral<T> || std::floating_point<T>)
    {
        return tell_of(atomic().fetch_sub(by));
    }
    T fetch_and(T by) const
        requires std::integral<T>
    {
        return tell_of(atomic().fetch_and(by));
    }
    T fetch_or(T by) const
        requires std::integral<T>
    {
        return tell_of(atomic().fetch_or(by));
    }
    T fetch_xor(T by) const
        requires std::integral<T>
    {
        return tell_of(atomic().fetch_xor(by));
    }

    /// Calls `f(T&)` with a copy of the value, which then becomes the value; gives what `f` gives. Updates exclude each other,
    /// under the value's own lock; if it is changed otherwise meanwhile, `f` is called again. An exception of `f`, like the
    /// death of its process, changes nothing. Cancel: while it waits for the lock.
    template <std::invocable<T&> F>
    [[nodiscard]] task<std::invoke_result_t<F&, T&>> update(F f) const
    {
        return update_under_lock(place(), std::move(f));
    }

    /// Until it is not `old`, byte for byte. Cancelling leaves no trace.
    [[nodiscard]] task<> wait(T old) const { return wait_until_not(place(), old); }

private:
    static_assert(alignof(T) <= 64, "coproc: a shared value's type must not want to be aligned to more than 64 bytes");

    static constexpr std::size_t alignment = alignof(T) > sizeof(T) || sizeof(T) > 16 ? alignof(T) : std::atomic_ref<T>::required_alignment;
    struct object {
        detail::value_head head;
        alignas(alignment) T value[is_always_lock_free ? 1 : 2];
    };

    static object& object_in(std::byte* at) noexcept { return *reinterpret_cast<object*>(at); }
    detail::value_head& head() const { return object_in(get()).head; }
    T& copy(std::size_t index) const { return object_in(get()).value[index]; }
    auto atomic() const { return std::atomic_ref<T>{copy(0)}; }
    T& valid() const { return copy(head().current.load(std::memory_order_acquire) & 1); }
    // In one step: a process that dies in the middle leaves the old value.
    void set(const T& value) const
    {
        auto next = head().current.load(std::memory_order_relaxed) + 1;
        copy(next & 1) = value;
        head().current.store(next, std::memory_order_release);
    }
    mutex_guard locked() const { return detail::lock_value(place(), head()); }
    void tell() const
    {
        if (head().watched.load() != 0)
            detail::value_has_changed(head());
    }
    T tell_of(T before) const
    {
        tell();
        return before;
    }

    template <class F>
    auto change(F f) const
    {
        if constexpr (is_always_lock_free) {
            T before = atomic().load();
            for (;;) {
                T now = before;
                auto result = f(now);
                if (atomic().compare_exchange_strong(before, now)) {
                    tell();
                    return result;
                }
            }
        } else {
            auto held = locked();
            T now = valid();
            auto result = f(now);
            set(now);
            tell();
            return result;
        }
    }

    template <class F>
    static task<std::invoke_result_t<F&, T&>> update_under_lock(std::shared_ptr<detail::object_place> place, F f)
    {
        shared_value self{std::move(place)};
        auto turn = detail::acquire_value(self.place(), self.head());
        auto held = co_await std::move(turn);
        for (;;) {
            T before = self.is_always_lock_free ? self.copy_atomically() : self.valid();
            T now = before;
            if constexpr (std::is_void_v<std::invoke_result_t<F&, T&>>) {
                f(now);
                if (self.replace(before, now))
                    co_return;
            } else {
                auto result = f(now);
                if (self.replace(before, now))
                    co_return result;
            }
        }
    }
    T copy_atomically() const
    {
        if constexpr (is_always_lock_free)
            return atomic().load();
        else
            return valid();
    }
    // Under the lock.
    bool replace(T& before, const T& now) const
    {
        bool done = true;
        if constexpr (is_always_lock_free)
            done = atomic().compare_exchange_strong(before, now);
        else
            set(now);
        if (done)
            tell();
        return done;
    }

    static task<> wait_until_not(std::shared_ptr<detail::object_place> place, T old)
    {
        shared_value self{std::move(place)};
        struct differs final : detail::change {
            const shared_value& value;
            const T& old;
            differs(const shared_value& v, const T& o) : value{v}, old{o} {}
            bool changed() override
            {
                T now = value.load();
                return std::memcmp(&now, &old, sizeof(T)) != 0;
            }
        } what{self, old};
        auto turn = detail::wait_for_change(self.place(), self.head(), what);
        co_await std::move(turn);
    }

    explicit shared_value(std::shared_ptr<detail::object_place> place) noexcept : shared_value{} { adopt(std::move(place)); }
};

} // namespace coproc
