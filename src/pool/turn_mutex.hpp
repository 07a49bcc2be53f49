// The lock of a pool.
#pragma once

#include <coproc/error.hpp>

#include <atomic>
#include <mutex>
#include <thread>

namespace coproc::detail {

/// A mutex that notices when its owner comes again: code of the caller's that runs under it (the iterators of an input, the
/// serialization of arguments and results) has called the pool. That is refused, for it would wait for itself.
class turn_mutex {
public:
    /// Throws usage_error.
    void lock()
    {
        if (owner_.load(std::memory_order_relaxed) == std::this_thread::get_id())
            throw usage_error{"a pool was called by the input or by the serialization of one of its own calls"};
        mutex_.lock();
        owner_.store(std::this_thread::get_id(), std::memory_order_relaxed);
    }
    void unlock() noexcept
    {
        owner_.store({}, std::memory_order_relaxed);
        mutex_.unlock();
    }

private:
    std::mutex mutex_;
    std::atomic<std::thread::id> owner_{};
};

} // namespace coproc::detail
