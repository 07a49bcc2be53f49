// Coroutines that wait for something in a pool.
#pragma once

#include <asio/async_result.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/dispatch.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/error.hpp>

#include <functional>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

namespace coproc::detail {

/// A suspended operation, whatever its handler's type is (Asio 1.22 has no any_completion_handler).
struct waiter {
    virtual ~waiter() = default;
    /// Completes it on its own executor; at once if that runs in this thread. Not under a lock.
    virtual void wake(std::error_code error) = 0;
};

template <class Handler>
class waiter_of final : public waiter {
public:
    explicit waiter_of(Handler handler) : handler_{std::move(handler)}, work_{asio::get_associated_executor(handler_)} {}

    void wake(std::error_code error) override
    {
        asio::dispatch(work_.get_executor(), [handler = std::move(handler_), error]() mutable {
            auto slot = asio::get_associated_cancellation_slot(handler);
            if (slot.is_connected())
                slot.clear();
            std::move(handler)(error);
        });
    }

private:
    Handler handler_;
    asio::executor_work_guard<asio::associated_executor_t<Handler>> work_; // its loop must not end before
};

/// Those who wait for one thing. Not thread-safe: the pool's lock guards it.
class waiter_list {
public:
    waiter* add(std::unique_ptr<waiter> w)
    {
        waiters_.push_back(std::move(w));
        return waiters_.back().get();
    }
    /// Nothing if it is not there any more: it was woken already.
    std::unique_ptr<waiter> remove(waiter* which)
    {
        for (auto& w : waiters_)
            if (w.get() == which) {
                auto found = std::move(w);
                std::erase(waiters_, nullptr);
                return found;
            }
        return nullptr;
    }
    std::vector<std::unique_ptr<waiter>> take() { return std::exchange(waiters_, {}); }

private:
    std::vector<std::unique_ptr<waiter>> waiters_;
};

} // namespace coproc::detail
