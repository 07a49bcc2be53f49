// A queue's memory file: what is where.
//
//     file    control | segment 1 | segment 2 | ...
//
// Items are bytes in a ring, the segment. When the ring is full, a queue that is not bounded goes on in a new one of at least
// twice the size; the old one is emptied first, and its memory is given back.
//
// Who puts and who gets don't meet: each side has its own mutex, and a state that nobody else changes. A process that dies
// leaves nothing to be repaired (see two_copies.hpp). The states only grow, so that what one side has read of the other one is
// out of date in a harmless way: there are at least so many items, at least so much room.
#pragma once

#include "channels/two_copies.hpp"
#include "sync/cell.hpp"
#include "sync/gate.hpp"
#include "sync/mutex_core.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace coproc::detail {

struct put_state {
    std::uint64_t items; ///< that were ever put
    std::uint64_t last;  ///< segment, by number
    std::uint64_t tail;  ///< bytes that were ever put into it
    std::uint64_t end;   ///< of it, in the file
};

struct get_state {
    std::uint64_t items; ///< that were ever taken
    std::uint64_t first; ///< segment, by number
    std::uint64_t head;  ///< bytes that were ever taken out of it
    std::uint64_t free;  ///< those of them whose place may be used again
    // Of a joinable queue.
    std::uint64_t done;  ///< items that were marked as done
    std::uint64_t holder, held; ///< what the last change makes of one holder's place (counted from 1; 0: none)
};

struct queue_segment {
    std::uint64_t offset, capacity;
    std::uint64_t tail; ///< of one that is not the last any more
};

template <class State>
struct alignas(64) queue_side {
    mutex_state mutex;
    two_copies<State> state;
};

struct queue_control {
    std::uint64_t mark, type, capacity;
    std::uint32_t joinable, carries_descriptors;
    cell<std::uint32_t> closed; ///< set with the mutex of those who put
    cell<std::uint64_t> attempts; ///< to put an item with descriptors
    queue_side<put_state> put;
    queue_side<get_state> get;
    gate getters, putters, joiners;
    std::array<queue_segment, 48> segments; ///< number n is at n modulo 48
    struct holder { ///< a process with items that it has not marked as done
        cell<std::uint64_t> who, held;
    };
    std::array<holder, 128> holders; ///< what more of them hold is not told apart
};

} // namespace coproc::detail
