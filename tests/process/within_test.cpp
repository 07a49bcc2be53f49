// An operation with a limit of time.
#include "process/within.hpp"
#include "process/support.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/error.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <chrono>
#include <exception>
#include <stdexcept>
#include <system_error>

using namespace coproc;
using namespace tests;
using namespace std::chrono_literals;
using detail::within;

namespace {

task<> nothing() { co_return; }

task<> failing()
{
    throw std::out_of_range{"as it is"};
    co_return;
}

// Ends only when it is cancelled.
task<> endless(bool* cancelled)
{
    asio::steady_timer never{co_await asio::this_coro::executor, asio::steady_timer::time_point::max()};
    try {
        co_await never.async_wait(asio::use_awaitable);
    } catch (const std::system_error& e) {
        *cancelled = e.code() == asio::error::operation_aborted;
        throw;
    }
}

} // namespace

TEST_CASE("an operation that ends in time is true")
{
    CHECK(sync_wait(within(nothing(), 1h)));
    CHECK(sync_wait(within(nothing(), std::chrono::nanoseconds::max())));
}

TEST_CASE("an operation that does not end in time is false, cancelled, and over")
{
    bool cancelled = false;
    CHECK_FALSE(sync_wait(within(endless(&cancelled), 1ms)));
    CHECK(cancelled);
}

TEST_CASE("an operation that fails does so at once, with its own exception")
{
    CHECK_THROWS_AS(sync_wait(within(failing(), 1h)), std::out_of_range);
}

TEST_CASE("a limited wait that is cancelled throws operation_aborted, and that only")
{
    asio::io_context loop;
    asio::cancellation_signal signal;
    bool cancelled = false, done = false;
    std::error_code error;
    asio::co_spawn(loop, within(endless(&cancelled), 1h), asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr failure, bool) {
        done = true;
        try {
            if (failure)
                std::rethrow_exception(failure);
        } catch (const std::system_error& e) {
            error = e.code();
        } catch (...) {
        }
    }));
    loop.poll();
    CHECK_FALSE(done);
    signal.emit(asio::cancellation_type::all);
    loop.run();
    CHECK(done);
    CHECK(cancelled);
    CHECK(error == asio::error::operation_aborted);
}
