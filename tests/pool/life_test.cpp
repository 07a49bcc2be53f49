// A pool from its first worker to its last: options, initializer, finalizer, close, terminate, loops.
#include "pool/board.hpp"
#include "pool/spawn.hpp"
#include "pool/tasks.hpp"
#include "support/proc.hpp"

#include <coproc/process.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>
#include <csignal>
#include <memory>
#include <numeric>
#include <set>
#include <stdexcept>

using namespace pool_test;
using namespace std::chrono_literals;

namespace {

int prepared = 0;
void prepare(const std::string& path, int value)
{
    prepared += value;
    note(path, 0);
}
int how_prepared() { return prepared; }
coproc::task<> prepare_later(int value)
{
    asio::steady_timer timer{co_await asio::this_coro::executor, 1ms};
    co_await timer.async_wait(asio::use_awaitable);
    prepared = value;
}
void finish(const std::string& path) { note(path, 1); }
void finish_badly(std::size_t size) { throw std::runtime_error{std::string(size, 'f')}; }
int size_of(const std::vector<char>& v) { return static_cast<int>(v.size()); }
int slow_size(const std::string& path, const std::vector<char>& v)
{
    hold(path, 0);
    return static_cast<int>(v.size());
}
std::string own_name() { return coproc::this_process::name(); }
int pool_in_worker(int n)
{
    return coproc::sync_wait([](int m) -> coproc::task<int> {
        coproc::pool inner{2};
        auto results = co_await inner.map(twice, std::vector<int>(20, m));
        co_return std::accumulate(results.begin(), results.end(), 0);
    }(n));
}
coproc::task<int> pool_in_coroutine(int depth)
{
    if (depth == 0)
        co_return 1;
    coproc::pool inner{1};
    co_return 1 + co_await inner.apply(pool_in_coroutine, depth - 1);
}
int fails_inside()
{
    return coproc::sync_wait([]() -> coproc::task<int> {
        coproc::pool inner{1};
        co_return co_await inner.apply([](int) -> int { throw std::domain_error{"from two levels down"}; }, 1);
    }());
}

coproc::pool_options options_for(int workers)
{
    coproc::pool_options result;
    result.workers = workers;
    return result;
}

bool all_ended(const std::vector<int>& pids)
{
    return std::ranges::all_of(pids, [](int pid) { return support::has_ended(pid); });
}

std::vector<int> pids_of_children()
{
    std::vector<int> result;
    for (auto& child : coproc::active_children())
        result.push_back(child.pid);
    return result;
}

} // namespace

TEST_CASE("a pool of fewer than one worker is refused", "[POOL-023]")
{
    CHECK_THROWS_AS(coproc::pool{0}, coproc::usage_error);
    CHECK_THROWS_AS(coproc::pool{-3}, coproc::usage_error);
    CHECK_THROWS_AS(coproc::pool{options_for(-1)}, coproc::usage_error);
    coproc::pool pool;
    CHECK(pool.size() >= 1);
}

TEST_CASE("the initializer runs once in each worker, before its first task, also in those that replace others", "[POOL-025]")
{
    in_loop([]() -> coproc::task<> {
        board board;
        auto options = options_for(1);
        options.initializer = coproc::bind_front(prepare, board.path(), 5);
        options.max_tasks_per_worker = 2;
        coproc::pool pool{options};
        for (int i = 0; i < 10; ++i)
            CHECK(co_await pool.apply(how_prepared) == 5);
        co_await pool.close();
        CHECK(board[0] >= 5);
    });
}

TEST_CASE("an initializer may be a coroutine")
{
    in_loop([]() -> coproc::task<> {
        auto options = options_for(1);
        options.initializer = coproc::bind_front(prepare_later, 8);
        coproc::pool pool{options};
        CHECK(co_await pool.apply(how_prepared) == 8);
    });
}

TEST_CASE("the finalizer runs once in each worker that ends in an orderly way", "[POOL-027][POOL-050]")
{
    in_loop([]() -> coproc::task<> {
        board board;
        auto options = options_for(3);
        options.finalizer = coproc::bind_front(finish, board.path());
        coproc::pool pool{options};
        for (int i = 0; i < 10; ++i)
            static_cast<void>(co_await pool.apply(twice, i));
        co_await pool.close();
        CHECK(board[1] == 3);
    });
}

TEST_CASE("the finalizer runs in workers that are replaced", "[POOL-050]")
{
    in_loop([]() -> coproc::task<> {
        board board;
        auto options = options_for(1);
        options.max_tasks_per_worker = 1;
        options.finalizer = coproc::bind_front(finish, board.path());
        coproc::pool pool{options};
        std::set<int> pids;
        for (int i = 0; i < 5; ++i)
            pids.insert(co_await pool.apply(own_pid));
        CHECK(pids.size() == 5);
        co_await pool.close();
        CHECK(board[1] >= 5);
    });
}

TEST_CASE("what a finalizer throws, 10 MB of it too, is thrown by close", "[POOL-028][POOL-029]")
{
    in_loop([]() -> coproc::task<> {
        for (std::size_t size : {10u, 10'000'000u}) {
            auto options = options_for(2);
            options.finalizer = coproc::bind_front(finish_badly, size);
            coproc::pool pool{options};
            static_cast<void>(co_await pool.apply(twice, 1));
            CHECK(is<std::runtime_error>(co_await failure_of(pool.close()), std::string(size, 'f')));
        }
    });
}

TEST_CASE("workers are replaced after their number of tasks, and all results are right", "[POOL-019][EXE-011]")
{
    auto limit = GENERATE(1u, 2u, 7u);
    in_loop([=]() -> coproc::task<> {
        auto options = options_for(2);
        options.max_tasks_per_worker = limit;
        coproc::pool pool{options};
        std::vector<int> inputs(60);
        std::iota(inputs.begin(), inputs.end(), 0);
        auto results = co_await pool.map(twice, inputs);
        for (std::size_t i = 0; i < inputs.size(); ++i)
            CHECK(results[i] == 2 * inputs[i]);
        auto pids = co_await pool.map(own_pid_of, inputs);
        for (int pid : pids)
            CHECK(std::ranges::count(pids, pid) <= limit);
        co_await pool.close();
    });
}

TEST_CASE("with one task for each worker, close before the tasks are done still brings all results", "[POOL-020][EXE-012]")
{
    in_loop([]() -> coproc::task<> {
        auto options = options_for(2);
        options.max_tasks_per_worker = 1;
        coproc::pool pool{options};
        std::vector<coproc::async_result<int>> results;
        for (int i = 0; i < 20; ++i)
            results.push_back(pool.submit(twice, i));
        co_await pool.close();
        for (int i = 0; i < 20; ++i) {
            CHECK(results[static_cast<std::size_t>(i)].ready());
            CHECK(co_await results[static_cast<std::size_t>(i)].get() == 2 * i);
        }
    });
}

TEST_CASE("workers have the pool's name and a number")
{
    in_loop([]() -> coproc::task<> {
        auto options = options_for(1);
        options.name = "cook";
        coproc::pool pool{options};
        CHECK(co_await pool.apply(own_name) == "cook-1");
    });
}

TEST_CASE("every start method makes workers that work")
{
    auto method = GENERATE(coproc::start_method::forkserver, coproc::start_method::spawn, coproc::start_method::fork);
    in_loop([=]() -> coproc::task<> {
        auto options = options_for(2);
        options.method = method;
        coproc::pool pool{options};
        auto results = co_await pool.map(twice, std::vector<int>(100, 4));
        CHECK(results == std::vector<int>(100, 8));
        co_await pool.close();
    });
}

TEST_CASE("close waits for 50 tasks that were submitted", "[SHD-003][SHD-011]")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{2};
        for (int i = 0; i < 50; ++i)
            pool.submit(note, board.path(), 7);
        co_await pool.close();
        CHECK(board[7] == 50);
        CHECK(pids_of_children().empty());
    });
}

TEST_CASE("a closed pool refuses tasks", "[POOL-036][SHD-011]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        co_await pool.close();
        CHECK_THROWS_AS(pool.submit(twice, 1), coproc::usage_error);
        CHECK(is<coproc::usage_error>(co_await failure_of(pool.apply(twice, 1)), "closed"));
        CHECK(is<coproc::usage_error>(co_await failure_of(pool.map(twice, std::vector<int>(10)))));
    });
}

TEST_CASE("a pool can be closed and terminated again and again, in any order", "[SHD-010]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool one{1}, other{1};
        static_cast<void>(co_await one.apply(twice, 1));
        co_await one.close();
        co_await one.close();
        one.terminate();
        one.terminate();
        co_await one.close();
        other.terminate();
        co_await other.close();
        coproc::pool unused{2};
        co_await unused.close();
    });
}

TEST_CASE("closing a pool that has never been used, nor got a loop, ends")
{
    coproc::pool pool{2};
    coproc::sync_wait(pool.close());
    coproc::pool other{2};
    other.terminate();
}

TEST_CASE("a crash after close still ends the pool, and fails its task", "[SHD-006]")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{1};
        auto running = pool.submit(hold, board.path(), 1);
        auto waiting = pool.submit(twice, 2);
        co_await reached(board, 0, 1);
        auto pid = pids_of_children().at(0);
        asio::co_spawn(co_await asio::this_coro::executor, [](int p) -> coproc::task<> {
            ::kill(p, SIGKILL);
            co_return;
        }(pid), [](std::exception_ptr) {});
        co_await pool.close();
        CHECK(is<coproc::worker_crashed>(co_await failure_of(running.get())));
        CHECK(co_await waiting.get() == 4);
    });
}

TEST_CASE("a wait for close that is cancelled leaves the pool closed, and it can still be terminated", "[POOL-038]")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{1};
        auto running = pool.submit(hold, board.path(), 1);
        co_await reached(board, 0, 1);
        auto executor = co_await asio::this_coro::executor;
        asio::cancellation_signal signal;
        bool gave_up = false;
        asio::co_spawn(executor, pool.close(), asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr e) { gave_up = e != nullptr; }));
        co_await asio::post(executor, asio::use_awaitable);
        signal.emit(asio::cancellation_type::terminal);
        co_await asio::post(executor, asio::use_awaitable);
        CHECK(gave_up);
        CHECK_THROWS_AS(pool.submit(twice, 1), coproc::usage_error);
        CHECK_FALSE(running.ready());
        pool.terminate();
        CHECK(is<coproc::cancelled_error>(co_await failure_of(running.get())));
        co_await pool.close();
    });
}

TEST_CASE("a worker that does not end gets SIGTERM, then SIGKILL", "[SHD-016]")
{
    in_loop([]() -> coproc::task<> {
        board board;
        auto options = options_for(1);
        options.grace = 20ms;
        options.finalizer = coproc::bind_front(never_end, board.path(), 1);
        coproc::pool pool{options};
        auto pid = co_await pool.apply(own_pid);
        co_await pool.close();
        CHECK(board[1] == 1);
        CHECK(support::has_ended(pid));
    });
}

TEST_CASE("a stopped worker can be terminated, and closed with patience")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool one{1};
        ::kill(co_await one.apply(own_pid), SIGSTOP);
        one.terminate();
        auto options = options_for(1);
        options.grace = 20ms;
        coproc::pool other{options};
        ::kill(co_await other.apply(own_pid), SIGSTOP);
        co_await other.close();
        CHECK(pids_of_children().empty());
    });
}

TEST_CASE("after terminate no worker is left, and what was not done is cancelled", "[POOL-039][POOL-065][EXE-016]")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{2};
        std::vector<coproc::async_result<int>> results;
        for (int i = 0; i < 10; ++i)
            results.push_back(pool.submit(hold, board.path(), i));
        co_await reached(board, 0, 2);
        auto pids = pids_of_children();
        CHECK(pids.size() == 2);
        pool.terminate();
        CHECK(all_ended(pids));
        for (auto& result : results)
            CHECK(is<coproc::cancelled_error>(co_await failure_of(result.get()), "terminated"));
        CHECK(board[0] == 2);
        CHECK_THROWS_AS(pool.submit(twice, 1), coproc::usage_error);
    });
}

TEST_CASE("terminate before the workers are there ends", "[SHD-013]")
{
    for (int i = 0; i < 20; ++i)
        in_loop([]() -> coproc::task<> {
            coproc::pool pool{4};
            auto result = pool.submit(twice, 1);
            pool.terminate();
            CHECK(is<coproc::cancelled_error>(co_await failure_of(result.get())));
        });
}

TEST_CASE("a pool that is destroyed cancels the calls that wait, and leaves no process", "[SHD-009]")
{
    in_loop([]() -> coproc::task<> {
        board board;
        auto executor = co_await asio::this_coro::executor;
        auto pool = std::make_unique<coproc::pool>(2);
        std::exception_ptr apply, map, close;
        int left = 2;
        asio::co_spawn(executor, pool->apply(hold, board.path(), 1), [&](std::exception_ptr e, int) { apply = e, --left; });
        asio::co_spawn(executor, pool->map(coproc::bind_front(hold, board.path()), std::vector<int>(10)), [&](std::exception_ptr e, std::vector<int>) { map = e, --left; });
        auto submitted = pool->submit(hold, board.path(), 2);
        while (board[0] < 2)
            co_await asio::steady_timer{executor, 1ms}.async_wait(asio::use_awaitable);
        auto pids = pids_of_children();
        pool.reset();
        CHECK(all_ended(pids));
        while (left > 0)
            co_await asio::post(executor, asio::use_awaitable);
        CHECK(is<coproc::cancelled_error>(apply, "destroyed"));
        CHECK(is<coproc::cancelled_error>(map, "destroyed"));
        CHECK(is<coproc::cancelled_error>(co_await failure_of(submitted.get()), "destroyed"));
    });
}

TEST_CASE("results that have come before terminate are there after it", "[SHD-014]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        auto result = pool.submit(twice, 4);
        REQUIRE(co_await result.wait_for(1h));
        pool.terminate();
        CHECK(co_await result.get() == 8);
    });
}

TEST_CASE("terminate and destruction end with 100 MB in flight", "[POOL-040]")
{
    in_loop([]() -> coproc::task<> {
        board board;
        std::vector<char> data(100'000'000, 'x');
        {
            coproc::pool pool{1};
            auto busy = pool.submit(slow_size, board.path(), std::vector<char>(10));
            auto large = pool.submit(size_of, data);
            pool.terminate();
            CHECK(is<coproc::cancelled_error>(co_await failure_of(large.get())));
            static_cast<void>(busy.cancel());
        }
        coproc::pool pool{1};
        auto large = pool.submit(slow_size, board.path(), data);
        co_await reached(board, 0, 1);
    });
}

TEST_CASE("a pool can be moved while its calls wait")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        auto result = pool.submit(twice, 4);
        coproc::pool other{std::move(pool)};
        CHECK(co_await result.get() == 8);
        CHECK(co_await other.apply(twice, 5) == 10);
        coproc::pool third{1};
        auto lost = third.submit(twice, 6);
        third = std::move(other); // what it was is stopped
        CHECK(is<coproc::cancelled_error>(co_await failure_of(lost.get())));
        CHECK(co_await third.apply(twice, 7) == 14);
    });
}

TEST_CASE("a pool on a loop of one's own lets it end when it is idle")
{
    asio::io_context context;
    coproc::pool pool{context.get_executor(), options_for(2)};
    std::vector<int> results;
    for (int round = 0; round < 3; ++round) {
        asio::co_spawn(context, pool.map(twice, std::vector<int>(100, round)), [&](std::exception_ptr e, std::vector<int> r) {
            CHECK_FALSE(e);
            results = std::move(r);
        });
        context.run();
        context.restart();
        CHECK(results == std::vector<int>(100, 2 * round));
    }
    pool.terminate();
}

TEST_CASE("a submitted task keeps the loop running until it has ended")
{
    asio::io_context context;
    coproc::pool pool{context.get_executor(), options_for(1)};
    auto result = pool.submit(twice, 4);
    context.run();
    CHECK(result.ready());
    context.restart();
    pool.terminate();
}

TEST_CASE("a worker that dies while the loop does not run is replaced when it runs again", "[POOL-056]")
{
    asio::io_context context;
    coproc::pool pool{context.get_executor(), options_for(1)};
    for (int round = 0; round < 5; ++round) {
        auto pid = spawn(context.get_executor(), pool.apply(own_pid));
        context.run();
        context.restart();
        ::kill(pid.get(), SIGKILL);
    }
    pool.terminate();
}

TEST_CASE("a pool that has no loop of its own takes that of the first call")
{
    coproc::pool pool{1};
    auto early = pool.submit(twice, 1);
    CHECK_FALSE(early.ready());
    CHECK(coproc::sync_wait(pool.apply(twice, 2)) == 4);
    CHECK(coproc::sync_wait(early.get()) == 2);
}

TEST_CASE("a worker may use pools of its own, in plain functions and in coroutines", "[NST-002]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        auto results = co_await pool.map(pool_in_worker, std::vector<int>(4, 3));
        CHECK(results == std::vector<int>(4, 120));
        CHECK(co_await pool.apply(pool_in_coroutine, 3) == 4);
    });
}

TEST_CASE("an error from a nested pool arrives with its text", "[NST-005]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        CHECK(is<std::domain_error>(co_await failure_of(pool.apply(fails_inside)), "from two levels down"));
        CHECK(co_await pool.apply(twice, 1) == 2);
    });
}

TEST_CASE("32 workers are made and dropped three times without close", "[LIM-014]")
{
    const int workers = support::descriptor_limit() < 400 ? 16 : 32; // each needs some descriptors, and more while it starts
    for (int round = 0; round < 3; ++round)
        in_loop([=]() -> coproc::task<> {
            coproc::pool pool{workers};
            static_cast<void>(co_await pool.map(twice, std::vector<int>(64, 1), {.chunk_size = 1}));
        });
    CHECK(pids_of_children().empty());
}

TEST_CASE("pools come and go many times without leaving anything")
{
    for (int round = 0; round < 30; ++round)
        in_loop([=]() -> coproc::task<> {
            coproc::pool pool{1 + round % 3};
            CHECK(co_await pool.apply(twice, round) == 2 * round);
            if (round % 2 == 0)
                co_await pool.close();
        });
}
