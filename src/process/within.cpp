#include "process/within.hpp"

#include <asio/experimental/awaitable_operators.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <exception>
#include <utility>
#include <variant>

namespace coproc::detail {
namespace {

// How it failed, if it did. To `||` either is an end: it waits for the other side when one side throws.
task<std::exception_ptr> outcome_of(task<> operation)
{
    std::exception_ptr failure;
    try {
        co_await std::move(operation);
    } catch (...) {
        failure = std::current_exception();
    }
    co_return failure;
}

task<> limit(std::chrono::nanoseconds time)
{
    asio::steady_timer timer{co_await asio::this_coro::executor, time};
    co_await timer.async_wait(asio::use_awaitable);
}

} // namespace

task<bool> within(task<> operation, std::chrono::nanoseconds time)
{
    using namespace asio::experimental::awaitable_operators;
    auto either = outcome_of(std::move(operation)) || limit(time);
    auto first = co_await std::move(either);
    if (first.index() == 1)
        co_return false;
    if (auto failure = std::get<0>(first))
        std::rethrow_exception(failure);
    co_return true;
}

} // namespace coproc::detail
