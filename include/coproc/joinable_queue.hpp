// A queue that tells when all its items have been dealt with.
#pragma once

#include <coproc/queue.hpp>

namespace coproc {

/// A queue whose consumers say when they are done with an item, so that somebody can wait for the last one. Items that a
/// consumer had in its hand when its process died count as done. Who receives one says joinable_queue<T> too: as a queue<T>
/// it can be used by the process that has it, and not be sent.
template <class T>
class joinable_queue : public queue<T> {
public:
    joinable_queue() noexcept : joinable_queue{0} {}
    explicit joinable_queue(std::size_t capacity) noexcept : queue<T>{typename queue<T>::joinable{}, capacity} {}

    /// Once for each item that was got. Throws usage_error when there were no more of them.
    void task_done() const { detail::mark_item_done(*this->core()); }
    /// Waits until all items that were put are done. Cancelling leaves no trace.
    [[nodiscard]] task<> join() const { return detail::join_queue(this->core()); }
};

} // namespace coproc
