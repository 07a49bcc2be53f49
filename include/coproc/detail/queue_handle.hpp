// A queue behind its handles, whatever the type of its items.
#pragma once

#include <coproc/serialize.hpp>
#include <coproc/task.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace coproc::detail {

class queue_core;

struct queue_kind {
    std::uint64_t type; ///< fingerprint of the items' type
    bool joinable;
    bool carries_descriptors; ///< items may have some
};

/// Copies are handles of the same queue. The queue of a handle that was default constructed is made when it is first used or
/// copied.
class queue_handle {
public:
    queue_handle(queue_kind kind, std::size_t capacity) noexcept : kind_{kind}, capacity_{capacity} {}
    queue_handle(const queue_handle& other);
    queue_handle(queue_handle&& other) noexcept;
    queue_handle& operator=(const queue_handle& other);
    queue_handle& operator=(queue_handle&& other) noexcept;
    ~queue_handle();

    [[nodiscard]] std::shared_ptr<queue_core> core() const;
    void send(output_archive& archive) const;
    void receive(input_archive& archive);

private:
    queue_kind kind_;
    std::size_t capacity_;
    mutable std::mutex mutex_;
    mutable std::shared_ptr<queue_core> core_;
};

/// A buffer for an item, whose memory is used again.
class item_buffer {
public:
    item_buffer() noexcept : bytes_{spare_buffer()} {}
    item_buffer(item_buffer&&) noexcept = default;
    ~item_buffer() { use_again(std::move(bytes_)); }
    [[nodiscard]] buffer& get() noexcept { return bytes_; }

private:
    buffer bytes_;
};

using queue_limit = std::chrono::steady_clock::time_point; ///< max(): none
inline constexpr queue_limit no_limit = queue_limit::max();
[[nodiscard]] queue_limit queue_limit_in(std::chrono::nanoseconds time) noexcept;

/// Throws usage_error when the queue is closed.
[[nodiscard]] task<> put_item(std::shared_ptr<queue_core> queue, item_buffer item);
/// The same until then; false: the time was up.
[[nodiscard]] task<bool> put_item_by(std::shared_ptr<queue_core> queue, item_buffer item, queue_limit until);
/// The same without waiting for room.
[[nodiscard]] bool put_item_now(queue_core& queue, item_buffer item);

enum class got_item { item, nothing, end };
/// Nothing: the time was up.
[[nodiscard]] task<got_item> get_item(std::shared_ptr<queue_core> queue, buffer& item, queue_limit until);
/// The same without waiting. False: that could not be said without waiting, for somebody else is at it.
[[nodiscard]] std::optional<got_item> get_item_at_once(queue_core& queue, buffer& item);
[[nodiscard]] got_item get_item_now(queue_core& queue, buffer& item);

/// Until there is an item, or the end; takes nothing.
[[nodiscard]] task<> wait_for_item(std::shared_ptr<queue_core> queue);

void close_queue(queue_core& queue);
[[nodiscard]] bool queue_is_closed(const queue_core& queue);
[[nodiscard]] std::size_t queue_size(const queue_core& queue);
[[nodiscard]] std::size_t queue_capacity(const queue_core& queue);
void mark_item_done(queue_core& queue);
[[nodiscard]] task<> join_queue(std::shared_ptr<queue_core> queue);

} // namespace coproc::detail
