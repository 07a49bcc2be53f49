// A pool and the event loop it is used on, which may end before it.
#include "pool/board.hpp"
#include "pool/tasks.hpp"
#include "support/eventually.hpp"

#include <coproc/process.hpp>

#include <asio/co_spawn.hpp>
#include <asio/experimental/as_tuple.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <csignal>
#include <memory>
#include <optional>
#include <ranges>

using namespace pool_test;
using namespace std::chrono_literals;

namespace {

coproc::task<int> doubled_later(int n)
{
    asio::steady_timer timer{co_await asio::this_coro::executor, 1ms};
    co_await timer.async_wait(asio::use_awaitable);
    co_return 2 * n;
}

asio::steady_timer* gate = nullptr;
bool at_gate = false;
coproc::task<int> pass_gate(int n)
{
    at_gate = true;
    static_cast<void>(co_await gate->async_wait(asio::experimental::as_tuple(asio::use_awaitable)));
    at_gate = false;
    co_return n;
}

// Says when the coroutine that has it is destroyed.
struct witness {
    bool& gone;
    ~witness() { gone = true; }
};

coproc::task<> wait_for_ever(const std::string& path, bool& gone)
{
    witness here{gone};
    coproc::pool pool{1};
    auto end = pool.apply(never_end, path, 0);
    co_await std::move(end);
}

} // namespace

TEST_CASE("a loop that ends destroys the coroutines that wait for a pool, and their pools with them")
{
    board board;
    bool gone = false;
    {
        asio::io_context loop;
        asio::co_spawn(loop, wait_for_ever(board.path(), gone), asio::detached);
        while (board[0] == 0)
            loop.run_one_for(1ms); // the task says so without an event of this loop
        CHECK(coproc::active_children().size() == 1);
    }
    CHECK(gone);
    CHECK(coproc::active_children().empty());
}

TEST_CASE("a pool outlives the loop that it was made for")
{
    std::optional<coproc::pool> pool;
    {
        asio::io_context loop;
        pool.emplace(loop.get_executor(), coproc::pool_options{.workers = 1});
        asio::co_spawn(loop, pool->apply(twice, 1), asio::detached);
        loop.run();
    }
    CHECK(coproc::sync_wait(pool->apply(twice, 2)) == 4);
}

TEST_CASE("close stops a worker that still runs a task that was cancelled")
{
    board board;
    in_loop([&]() -> coproc::task<> {
        coproc::pool pool{{.workers = 1, .grace = 50ms}};
        auto running = pool.submit(never_end, board.path(), 0);
        co_await reached(board, 0, 1);
        CHECK(running.cancel());
        co_await pool.close();
        CHECK(coproc::active_children().empty());
    });
}

TEST_CASE("an inline pool runs a coroutine once, however many wait for it")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{coproc::inline_workers};
        auto result = std::make_shared<coproc::async_result<int>>(pool.submit(doubled_later, 21));
        auto waits = [](auto r) -> coproc::task<> {
            bool ready = co_await r->wait_for(30s);
            CHECK(ready);
        };
        asio::co_spawn(co_await asio::this_coro::executor, waits(result), asio::detached);
        asio::steady_timer turn{co_await asio::this_coro::executor, 0ms};
        co_await turn.async_wait(asio::use_awaitable);
        auto end = result->get();
        CHECK(co_await std::move(end) == 42);
    });
}

TEST_CASE("a task of an inline pool that is cancelled frees who waits for it, while it still runs")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{coproc::inline_workers};
        asio::steady_timer closed{co_await asio::this_coro::executor, 1h};
        gate = &closed;
        auto result = std::make_shared<coproc::async_result<int>>(pool.submit(pass_gate, 1));
        auto runs = [](auto r) -> coproc::task<> { CHECK(co_await r->wait_for(30s)); };
        asio::co_spawn(co_await asio::this_coro::executor, runs(result), asio::detached);
        while (!at_gate)
            co_await asio::post(asio::use_awaitable);
        asio::post(co_await asio::this_coro::executor, [&] { CHECK(result->cancel()); });
        CHECK(co_await result->wait_for(30s));
        CHECK(is<coproc::cancelled_error>(co_await failure_of(result->get())));
        CHECK(at_gate);
        closed.cancel();
        while (at_gate)
            co_await asio::post(asio::use_awaitable);
    });
}

TEST_CASE("a task is cancelled in a pool that has no loop yet")
{
    coproc::pool pool{1};
    auto result = pool.submit(twice, 1);
    CHECK(result.cancel());
    CHECK(result.ready());
    CHECK_FALSE(result.cancel());
    CHECK_THROWS_AS(coproc::sync_wait(result.get()), coproc::cancelled_error);
}

TEST_CASE("a pool refuses to be called by the input of one of its calls, and goes on")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        auto calls = std::views::iota(0, 3) | std::views::transform([&](int n) {
            static_cast<void>(pool.submit(twice, n));
            return n;
        });
        CHECK(is<coproc::usage_error>(co_await failure_of(pool.map(twice, calls)), "its own calls"));
        CHECK(co_await pool.apply(twice, 21) == 42);
    });
}

TEST_CASE("a pool that was moved away says so")
{
    coproc::pool pool{coproc::inline_workers};
    coproc::pool other = std::move(pool);
    CHECK_THROWS_AS(pool.submit(twice, 1), coproc::usage_error);
    CHECK(pool.size() == 0);
    CHECK(other.submit(twice, 1).valid());
}

TEST_CASE("a process that has ended can be detached")
{
    in_loop([]() -> coproc::task<> {
        for (int i = 0; i < 20; ++i) {
            auto p = co_await coproc::process::start(twice, 0);
            int pid = p.pid();
            p.detach();
            CHECK_FALSE(p.valid());
            CHECK(support::eventually([&] { return coproc::active_children().empty() && ::kill(pid, 0) != 0; }, 30s));
        }
    });
}
