// Small coroutines, for tests and workers.
#pragma once

#include <coproc/task.hpp>

#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <chrono>

namespace pool_test {

/// Goes to the end of the loop's queue.
inline coproc::task<> yield() { co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable); }
inline coproc::task<> pass(std::chrono::nanoseconds time)
{
    asio::steady_timer timer{co_await asio::this_coro::executor, time};
    co_await timer.async_wait(asio::use_awaitable);
}
inline coproc::task<int> same_later(int n)
{
    co_await pass(std::chrono::milliseconds{1});
    co_return n;
}
inline coproc::task<int> twice_later(int n)
{
    co_await yield();
    co_return 2 * n;
}
inline coproc::task<int> wait_for_ever()
{
    asio::steady_timer never{co_await asio::this_coro::executor, asio::steady_timer::time_point::max()};
    co_await never.async_wait(asio::use_awaitable);
    co_return 1;
}

} // namespace pool_test
