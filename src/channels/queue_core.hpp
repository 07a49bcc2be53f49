// A queue in shared memory: what is where, and how it changes. No waiting here: see queue.cpp.
//
//     file    control | segment 1 | segment 2 | ...
//
// Items are bytes in a ring, the segment. When the ring is full, a queue that is not bounded goes on in a new one of twice
// the size; the old one is emptied first, and its memory is given back. A queue that has been emptied begins at the front of
// its ring again, where the memory is warm.
//
// Everything that changes is in queue_state, of which there are two copies. A change is made under the queue's mutex, in the
// copy that is not valid, and becomes valid by one store: a process that dies before it has changed nothing, one that dies
// after it has changed everything. So the next owner of the mutex has nothing to repair.
//
// Descriptors of items travel on a socket beside the file, as packets with the number of the attempt to put the item; a
// packet whose item never came (its process died in between) is left out by its number.
//
// The file may be written by any process that has the queue: every number that is read from it is checked.
#pragma once

#include "os/descriptor.hpp"
#include "os/memory_file.hpp"
#include "os/stamp.hpp"
#include "sync/gate.hpp"
#include "sync/mutex_core.hpp"

#include <coproc/detail/attachment.hpp>
#include <coproc/detail/buffer.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

namespace coproc::detail {

struct queue_state {
    std::uint64_t puts, gets; ///< items, ever
    std::uint64_t head, tail; ///< bytes ever taken from the first segment, and put into the last one
    std::uint64_t first, last; ///< segments by number
    std::uint64_t end;        ///< of the last segment in the file
    // Of a joinable queue.
    std::uint64_t unfinished; ///< items that were put and not marked as done
    std::uint64_t holder, items; ///< what the last change makes of one holder's place
};

struct queue_segment {
    std::uint64_t offset, capacity;
    std::uint64_t tail; ///< of one that is not the last any more
};

struct queue_control {
    std::uint64_t mark, type, capacity;
    std::uint32_t joinable, carries_descriptors;
    std::atomic<std::uint32_t> closed;
    std::atomic<std::uint32_t> current; ///< the number of changes; its last bit says which state is valid
    std::atomic<std::uint64_t> attempts;
    mutex_state mutex;
    gate getters, putters, joiners;
    std::array<std::array<std::atomic<std::uint64_t>, sizeof(queue_state) / 8>, 2> states;
    std::array<queue_segment, 48> segments;
    struct holder { ///< a process with items that it has not marked as done
        std::atomic<std::uint64_t> who, items;
    };
    std::array<holder, 128> holders; ///< what more of them hold is not told apart
};

class queue_core {
public:
    enum class result { done, not_now, closed };

    /// A new one; capacity in items, 0: without limit. Throws std::system_error.
    queue_core(std::uint64_t type, std::uint64_t capacity, bool joinable, bool carries_descriptors);
    /// One that came from elsewhere. Throws protocol_error, type_error.
    queue_core(std::uint64_t type, bool joinable, attachment file, attachment putting, attachment getting);

    [[nodiscard]] queue_control& control() const noexcept { return *reinterpret_cast<queue_control*>(memory_.data()); }
    [[nodiscard]] const attachment& file() const noexcept { return file_; }
    /// Whether the descriptors are this process's: in a forked copy their numbers may be other files'.
    [[nodiscard]] bool is_ours() const noexcept { return stamp_ == os::process_stamp(); }
    /// Of the socket; both are none for a queue that carries no descriptors.
    [[nodiscard]] const attachment& putting() const noexcept { return putting_; }
    [[nodiscard]] const attachment& getting() const noexcept { return getting_; }

    // With the mutex.
    /// Throws std::system_error (no memory) and protocol_error; then nothing has changed.
    result put(std::span<const std::byte> bytes, const std::vector<attachment>& attachments);
    /// The item goes to the end of `to`, which is empty.
    result get(buffer& to, member self);
    /// Throws usage_error when there were no more of them. True: that was the last one.
    bool mark_done(member self);
    /// Items of processes that died count as done. True: none is left.
    bool count_dead(const registry& all);

    // At any time; what it says may be over at once.
    /// What is valid now.
    [[nodiscard]] queue_state now() const noexcept;
    [[nodiscard]] std::uint64_t size() const noexcept;
    [[nodiscard]] bool is_closed() const noexcept { return control().closed.load() != 0; }

private:
    queue_segment& segment(std::uint64_t number) const noexcept { return control().segments[number % control().segments.size()]; }
    [[nodiscard]] queue_state begin() const;
    void commit(const queue_state& state) noexcept;
    std::span<std::byte> memory_of(const queue_state& state, std::uint64_t number);
    void add_segment(queue_state& state, std::size_t need);
    void drop_segment(queue_state& state);
    void change_items(queue_state& state, member who, int by);
    bool send(std::uint64_t attempt, const std::vector<attachment>& attachments, bool none_waits);
    void receive(std::uint64_t attempt, std::size_t count, std::vector<attachment>& attachments);

    attachment file_, putting_, getting_;
    os::mapping memory_; ///< the control
    std::uint64_t stamp_ = os::process_stamp();
    std::map<std::uint64_t, os::mapping> segments_;
};

} // namespace coproc::detail
