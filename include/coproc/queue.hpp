// Items from any process to any process.
#pragma once

#include <coproc/detail/check_call.hpp>
#include <coproc/detail/fairness.hpp>
#include <coproc/detail/fingerprint.hpp>
#include <coproc/detail/queue_handle.hpp>
#include <coproc/detail/value.hpp>
#include <coproc/task.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace coproc {

/// A queue that all holders of this handle share, in whatever processes: many may put, many may get.
///
///     coproc::queue<std::string> q{2};              // at most two items wait in it; without a number: any
///     co_await q.put("text");
///     while (auto item = co_await q.get()) ...      // until it is closed and empty
///
/// Items:    any type that cereal can serialize, default constructible, of any size, with whatever handles are in them.
/// Order:    first in, first out; of one producer's items and of all.
/// Capacity: in items. An unbounded queue grows as needed; its memory is given back as it is emptied, but for some 64 MiB.
/// Death:    items outlive the process that put them. A process that is killed while it puts or gets costs at most the item
///           in its hand and holds up nobody.
/// Closing:  close() ends it for all: nothing more can be put (usage_error), what is in it can still be got; then get gives
///           nothing, as the end of a stream does.
/// Lifetime: lives as long as any handle. One descriptor for each process (three, if items may carry handles) and memory for
///           what waits in it.
/// Threads:  all members may be called from any thread.
/// Cost:     a copy in and a copy out, each under a mutex of its own, which takes no system call unless somebody has to wait; a
///           message for each sleeper that is woken.
template <class T>
class queue {
    static_assert(detail::check_value<T>());

public:
    using value_type = T;

    queue() noexcept : queue{std::size_t{0}} {}
    /// At most so many items wait in it; 0: any number.
    explicit queue(std::size_t capacity) noexcept : handle_{kind(false), capacity} {}

    /// Waits while it is full. Throws usage_error when it is closed. Cancel: nothing was put.
    [[nodiscard]] task<> put(const T& item) const { return detail::put_item(handle_.core(), encoded(item)); }
    /// Waits for at most `time`; says whether it was put.
    [[nodiscard]] task<bool> put_for(const T& item, std::chrono::nanoseconds time) const
    {
        return detail::put_item_by(handle_.core(), encoded(item), detail::queue_limit_in(time));
    }
    /// At once, or not at all because it is full.
    bool try_put(const T& item) const { return detail::put_item_now(*handle_.core(), encoded(item)); }

    /// Waits for an item. Nothing: it is closed and empty. Cancel: nothing was taken.
    /// Throws what the item's own serialization throws, std::system_error when there are no descriptors left for its handles;
    /// the item is lost then.
    [[nodiscard]] task<std::optional<T>> get() const { return take(handle_.core(), detail::no_limit); }
    /// Waits for at most `time`. Nothing: the time was up, or it is closed and empty.
    [[nodiscard]] task<std::optional<T>> get_for(std::chrono::nanoseconds time) const { return take(handle_.core(), detail::queue_limit_in(time)); }
    /// At once. Nothing: there is none.
    [[nodiscard]] std::optional<T> try_get() const
    {
        detail::item_buffer item;
        if (detail::get_item_now(*handle_.core(), item.get()) != detail::got_item::item)
            return std::nullopt;
        return decoded(item.get());
    }

    /// Items that wait in it. As with all that several processes change, it may be another number when you look at it.
    [[nodiscard]] std::size_t size() const { return detail::queue_size(*handle_.core()); }
    [[nodiscard]] bool empty() const { return size() == 0; }
    [[nodiscard]] bool full() const { return capacity() != 0 && size() >= capacity(); }
    /// 0: without limit.
    [[nodiscard]] std::size_t capacity() const { return detail::queue_capacity(*handle_.core()); }

    /// Takes no more items, and wakes who waits. Nothing happens the second time.
    void close() const { detail::close_queue(*handle_.core()); }
    [[nodiscard]] bool closed() const { return detail::queue_is_closed(*handle_.core()); }

    /// For the library.
    [[nodiscard]] const detail::queue_handle& handle() const noexcept { return handle_; }

    template <class Archive>
    void save(Archive& archive) const
    {
        handle_.send(archive);
    }
    template <class Archive>
    void load(Archive& archive)
    {
        handle_.receive(archive);
    }

protected:
    struct joinable {};
    queue(joinable, std::size_t capacity) noexcept : handle_{kind(true), capacity} {}
    [[nodiscard]] std::shared_ptr<detail::queue_core> core() const { return handle_.core(); }

private:
    static constexpr detail::queue_kind kind(bool joinable) { return {detail::fingerprint<T>, joinable, !detail::leaves_no_trace<T>}; }

    static detail::item_buffer encoded(const T& item)
    {
        detail::item_buffer bytes;
        output_archive archive{bytes.get()};
        detail::save_value(archive, item);
        return bytes;
    }
    static T decoded(detail::buffer& item)
    {
        T value{};
        input_archive archive{item.data(), item.size(), &item.attachments()};
        detail::load_value(archive, value);
        return value;
    }
    static task<std::optional<T>> take(std::shared_ptr<detail::queue_core> core, detail::queue_limit until)
    {
        if (detail::had_its_turn()) {
            auto others = detail::let_others_run();
            co_await std::move(others);
        }
        detail::item_buffer item;
        auto result = detail::get_item_at_once(*core, item.get());
        if (!result) {
            auto wait = detail::get_item(core, item.get(), until);
            result = co_await std::move(wait);
        }
        if (*result != detail::got_item::item)
            co_return std::nullopt;
        co_return decoded(item.get());
    }

    detail::queue_handle handle_;
};

} // namespace coproc
