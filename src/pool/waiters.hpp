// Coroutines that wait for something in a pool.
#pragma once

#include "process/loop_users.hpp"

#include <asio/async_result.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/dispatch.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/error.hpp>
#include <asio/post.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

namespace coproc::detail {

/// A suspended operation, whatever its handler's type is (Asio 1.22 has no any_completion_handler).
struct waiter {
    virtual ~waiter() = default;
    std::uint64_t id = 0;                     ///< never given twice in a list
    asio::execution_context* loop = nullptr;  ///< it is to be completed on
    bool for_news = false;                    ///< it waits for progress as well
    /// Completes it on its own executor; at once if that runs in this thread. Not under a lock.
    virtual void wake(std::error_code error) = 0;
};

template <class Handler>
class waiter_of final : public waiter {
public:
    explicit waiter_of(Handler handler) : handler_{std::move(handler)}, work_{asio::get_associated_executor(handler_)}
    {
        loop = &loop_of(work_.get_executor());
    }

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

/// Somebody who is only told; his loop may end before.
class notification final : public waiter {
public:
    notification(asio::any_io_executor executor, std::function<void()> then) : executor_{std::move(executor)}, then_{std::move(then)}
    {
        loop = &loop_of(executor_);
    }

    void wake(std::error_code) override { asio::post(executor_, std::move(then_)); }

private:
    asio::any_io_executor executor_;
    std::function<void()> then_;
};

/// Those who wait for one thing. Not thread-safe: the pool's lock guards it.
class waiter_list {
public:
    /// Its id here.
    std::uint64_t add(std::unique_ptr<waiter> w)
    {
        w->id = ++last_;
        waiters_.push_back(std::move(w));
        return last_;
    }
    /// Nothing if it is not there any more: it was woken already.
    std::unique_ptr<waiter> remove(std::uint64_t id)
    {
        for (auto w = waiters_.begin(); w != waiters_.end(); ++w)
            if ((*w)->id == id) {
                auto found = std::move(*w);
                waiters_.erase(w);
                return found;
            }
        return nullptr;
    }
    /// Those who wait on this loop.
    void take(const asio::execution_context& loop, std::vector<std::unique_ptr<waiter>>& to)
    {
        for (auto& w : std::exchange(waiters_, {}))
            (w->loop == &loop ? to : waiters_).push_back(std::move(w));
    }
    std::vector<std::unique_ptr<waiter>> take() { return std::exchange(waiters_, {}); }
    std::vector<std::unique_ptr<waiter>> take_those_for_news()
    {
        std::vector<std::unique_ptr<waiter>> result;
        for (auto& w : std::exchange(waiters_, {}))
            (w->for_news ? result : waiters_).push_back(std::move(w));
        return result;
    }

private:
    std::vector<std::unique_ptr<waiter>> waiters_;
    std::uint64_t last_ = 0;
};

} // namespace coproc::detail
