// Coroutines and processes that wait for one another, for the tests of this room.
#pragma once

#include "pool/tasks.hpp"

#include <coproc/process.hpp>
#include <coproc/shared_value.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/error.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <chrono>
#include <exception>
#include <memory>
#include <system_error>

#include <unistd.h>

namespace sync_test {

using coproc::process;
using coproc::shared_value;
using coproc::task;
using pool_test::in_loop;
using namespace std::chrono_literals;

/// A coroutine of its own on this loop.
class running {
public:
    [[nodiscard]] bool done() const { return state_->done; }
    void cancel() { state_->signal.emit(asio::cancellation_type::terminal); }
    /// Until its end; throws what it threw.
    task<> join()
    {
        auto its = state_;
        if (!its->done) {
            std::error_code when_it_ends;
            auto end = its->end.async_wait(asio::redirect_error(asio::use_awaitable, when_it_ends));
            co_await std::move(end);
        }
        if (its->error)
            std::rethrow_exception(its->error);
    }
    /// Whether it ended because it was cancelled.
    task<bool> was_cancelled()
    {
        auto end = join();
        try {
            co_await std::move(end);
        } catch (const std::system_error& error) {
            co_return error.code() == asio::error::operation_aborted;
        }
        co_return false;
    }

private:
    friend task<running> spawn(task<> work);
    struct state {
        explicit state(const asio::any_io_executor& loop) : end{loop, asio::steady_timer::time_point::max()} {}
        asio::cancellation_signal signal;
        asio::steady_timer end;
        bool done = false;
        std::exception_ptr error;
    };
    std::shared_ptr<state> state_;
};

/// Lets all that can go on here do so, until they wait for somebody outside of this loop.
inline task<> let_others_run()
{
    auto loop = co_await asio::this_coro::executor;
    for (int i = 0; i < 4; ++i) {
        auto later = asio::post(loop, asio::use_awaitable);
        co_await std::move(later);
    }
}

/// Starts `work`; it has ended or waits when this completes.
inline task<running> spawn(task<> work)
{
    auto loop = co_await asio::this_coro::executor;
    running result;
    result.state_ = std::make_shared<running::state>(loop);
    asio::co_spawn(loop, std::move(work), asio::bind_cancellation_slot(result.state_->signal.slot(), [state = result.state_](std::exception_ptr e) {
                       state->error = e;
                       state->done = true;
                       state->end.cancel();
                   }));
    auto others = let_others_run();
    co_await std::move(others);
    co_return result;
}

/// Until the value is at least `least`: somebody has come so far.
inline task<> reaches(shared_value<int> value, int least)
{
    for (int now = value.load(); now < least; now = value.load()) {
        auto changed = value.wait(now);
        co_await std::move(changed);
    }
}

/// A loop of this thread with coroutines that wait beside what else the thread does.
class loop_beside {
public:
    /// Starts `work`; it has ended or waits when this returns.
    void begin(task<> work)
    {
        ++unfinished_;
        asio::co_spawn(loop_, std::move(work), [this](std::exception_ptr e) {
            --unfinished_;
            if (e)
                std::rethrow_exception(e);
        });
        loop_.restart();
        loop_.poll();
    }
    [[nodiscard]] int unfinished() const { return unfinished_; }
    /// Until all have ended; throws what they threw.
    void end()
    {
        loop_.restart();
        loop_.run();
    }

private:
    asio::io_context loop_;
    int unfinished_ = 0;
};

/// The body of a process that is to be killed.
inline task<> wait_for_the_end()
{
    auto loop = co_await asio::this_coro::executor;
    asio::steady_timer never{loop, asio::steady_timer::time_point::max()};
    auto end = never.async_wait(asio::use_awaitable);
    co_await std::move(end);
}

inline task<> killed(process& p)
{
    p.kill();
    auto end = p.join();
    static_cast<void>(co_await std::move(end));
}

} // namespace sync_test
