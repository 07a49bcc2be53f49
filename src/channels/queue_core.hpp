// A queue in shared memory, and how it changes (queue_control.hpp has what is where). No waiting here: see queue.cpp.
//
// The file may be written by any process that has the queue: every number that is read from it is checked.
#pragma once

#include "channels/queue_control.hpp"
#include "channels/queue_packets.hpp"
#include "channels/queue_ring.hpp"
#include "os/memory_file.hpp"
#include "os/stamp.hpp"

#include <coproc/detail/attachment.hpp>
#include <coproc/detail/buffer.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

namespace coproc::detail {

class queue_core {
public:
    enum class result { done, not_now, closed };

    /// A new one; capacity in items, 0: without limit. Throws std::system_error.
    queue_core(std::uint64_t type, std::uint64_t capacity, bool joinable, bool carries_descriptors);
    /// One that came from elsewhere. Throws protocol_error, type_error.
    queue_core(std::uint64_t type, bool joinable, attachment file, queue_packets packets);

    [[nodiscard]] queue_control& control() const noexcept { return *reinterpret_cast<queue_control*>(memory_.data()); }
    [[nodiscard]] const attachment& file() const noexcept { return file_; }
    [[nodiscard]] const queue_packets& packets() const noexcept { return packets_; }
    /// Whether the descriptors are this process's: in a forked copy their numbers may be other files'.
    [[nodiscard]] bool is_ours() const noexcept { return stamp_ == os::process_stamp(); }

    // With the mutex of those who put.
    /// Throws std::system_error (no memory) and protocol_error; then nothing has changed.
    result put(std::span<const std::byte> bytes, const std::vector<attachment>& attachments);
    void close() noexcept { control().closed.store(1); }

    // With the mutex of those who get.
    /// The item goes to the end of `to`, which is empty. Throws protocol_error; and what receiving its descriptors throws:
    /// then it is lost. One whose descriptors went with a process that died in the middle of this is passed over.
    result get(buffer& to, member self);
    /// Throws usage_error when there were no more of them. True: that was the last one.
    bool mark_done(member self);
    /// Items of processes that died count as done. True: none is left.
    bool count_dead(const registry& all);

    // At any time; what it says may be over at once.
    /// Not less than there are.
    [[nodiscard]] std::uint64_t size() const noexcept;
    [[nodiscard]] bool is_closed() const noexcept { return control().closed.load() != 0; }
    [[nodiscard]] bool is_joinable() const noexcept { return control().joinable != 0; }
    [[nodiscard]] bool is_bounded() const noexcept { return control().capacity != 0; }
    /// Whether every item is marked as done.
    [[nodiscard]] bool is_done() const noexcept;
    /// Whether who puts may have to wait for room.
    [[nodiscard]] bool may_be_full() const noexcept { return is_bounded() || packets_.there(); }

private:
    struct placed_ring {
        std::uint64_t segment = ~std::uint64_t{0};
        queue_ring ring;
    };

    queue_segment& segment(std::uint64_t number) const noexcept { return control().segments[number % control().segments.size()]; }
    const queue_ring& ring_of(std::uint64_t number, placed_ring& known);
    bool has_place(const put_state& state, bool look_again) noexcept;
    const queue_ring& room_for(std::size_t need, put_state& state);
    void add_segment(std::size_t need, put_state& state);
    bool has_item(const get_state& state) noexcept;
    result take(buffer& to, member self, bool& whole);
    const queue_ring& next_ring(get_state& state);
    void give_back_memory(get_state& state);
    [[nodiscard]] get_state begin_get() const;
    void commit(const get_state& state) noexcept;
    void change_held(get_state& state, member who, int by);

    attachment file_;
    queue_packets packets_;
    os::mapping memory_; ///< the control
    std::uint64_t stamp_ = os::process_stamp();

    placed_ring putting_, getting_;
    get_state seen_gets_{}; ///< the last that who puts here has seen of the other side
    put_state seen_puts_{};
    std::mutex rings_mutex_; ///< of the threads of this process
    std::map<std::uint64_t, std::weak_ptr<os::mapping>> rings_;
};

} // namespace coproc::detail
