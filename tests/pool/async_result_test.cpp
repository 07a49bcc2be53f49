// The handles of single calls: what they tell, and calls that are not wanted any more.
#include "pool/board.hpp"
#include "pool/tasks.hpp"

#include <asio/experimental/awaitable_operators.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <stdexcept>
#include <string>
#include <vector>

using namespace pool_test;
using namespace std::chrono_literals;

namespace {

void nothing() {}
int throws(const std::string& text) { throw std::invalid_argument{text}; }

} // namespace

TEST_CASE("a handle tells whether its task has ended")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{1};
        auto result = pool.submit(hold, board.path(), 7);
        CHECK(result.valid());
        CHECK_FALSE(result.ready());
        CHECK_FALSE(co_await result.wait_for(0ms));
        CHECK_FALSE(co_await result.wait_for(5ms));
        board[1] = 1;
        CHECK(co_await result.wait_for(1h));
        CHECK(result.ready());
        CHECK(co_await result.wait_for(0ms));
        CHECK(co_await result.get() == 7);
        CHECK_FALSE(result.valid());
    });
}

TEST_CASE("a handle without a task says so")
{
    coproc::async_result<int> empty;
    CHECK_FALSE(empty.valid());
    CHECK_THROWS_AS(empty.get(), coproc::usage_error);
    CHECK_THROWS_AS(empty.ready(), coproc::usage_error);
    CHECK_THROWS_AS(empty.cancel(), coproc::usage_error);
    CHECK_THROWS_AS(empty.wait_for(1s), coproc::usage_error);
}

TEST_CASE("a handle that is dropped lets its task run")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{1};
        static_cast<void>(pool.submit(note, board.path(), 0));
        co_await pool.close();
        CHECK(board[0] == 1);
    });
}

TEST_CASE("a task that waits can be cancelled and does not run; one that has ended can't", "[EXE-020]")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{1};
        auto done = pool.submit(twice, 1);
        REQUIRE(co_await done.wait_for(1h));
        CHECK_FALSE(done.cancel());
        CHECK(co_await done.get() == 2);

        auto running = pool.submit(hold, board.path(), 1);
        auto in_pipe = pool.submit(note, board.path(), 5);
        auto waiting = pool.submit(note, board.path(), 5);
        co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
        co_await reached(board, 0, 1);
        CHECK(in_pipe.cancel());
        CHECK(waiting.cancel());
        CHECK_FALSE(waiting.cancel());
        CHECK(in_pipe.ready());
        CHECK(is<coproc::cancelled_error>(co_await failure_of(in_pipe.get())));
        CHECK(is<coproc::cancelled_error>(co_await failure_of(waiting.get())));
        board[1] = 1;
        CHECK(co_await running.get() == 1);
        co_await pool.close();
        CHECK(board[5] == 0);
    });
}

TEST_CASE("the result of a running task that was cancelled is not given to the next one")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{1};
        auto running = pool.submit(hold, board.path(), 1);
        REQUIRE(co_await pool.submit(nothing).wait_for(0ms) == false);
        co_await reached(board, 0, 1);
        CHECK(running.cancel());
        CHECK(is<coproc::cancelled_error>(co_await failure_of(running.get())));
        board[1] = 1;
        CHECK(co_await pool.apply(twice, 21) == 42);
        CHECK(board[2] == 1); // it ran on to its end
    });
}

TEST_CASE("a running task keeps its place when thousands behind it are cancelled")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{1};
        auto running = pool.submit(hold, board.path(), 1);
        co_await reached(board, 0, 1);
        for (int i = 0; i < 3000; ++i)
            CHECK(pool.submit(note, board.path(), 5).cancel());
        board[1] = 1;
        CHECK(co_await running.get() == 1);
        CHECK(co_await pool.apply(twice, 4) == 8);
        CHECK(board[0] == 1); // it was begun once
        CHECK(board[5] == 0);
    });
}

TEST_CASE("one failure among several awaited calls is raised without waiting for the slow ones", "[CRA-026]")
{
    in_loop([]() -> coproc::task<> {
        using namespace asio::experimental::awaitable_operators;
        board board;
        coproc::pool pool{2};
        auto all = pool.apply(hold, board.path(), 1) && pool.apply(throws, "no");
        auto e = co_await failure_of([](decltype(all) calls) -> coproc::task<> { co_await std::move(calls); }(std::move(all)));
        CHECK(e != nullptr);
        CHECK(board[2] == 0); // the slow one still holds
        board[1] = 1;
        CHECK(co_await pool.apply(twice, 1) == 2);
    });
}

TEST_CASE("a call that lost against a timer is withdrawn, and the pool goes on")
{
    in_loop([]() -> coproc::task<> {
        using namespace asio::experimental::awaitable_operators;
        board board;
        coproc::pool pool{1};
        asio::steady_timer timer{co_await asio::this_coro::executor, 20ms};
        auto either = pool.apply(hold, board.path(), 1) || timer.async_wait(asio::use_awaitable);
        auto first = co_await std::move(either);
        CHECK(first.index() == 1);
        board[1] = 1;
        CHECK(co_await pool.apply(twice, 1) == 2);
    });
}
