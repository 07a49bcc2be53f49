// Calls that are not wanted any more.
#include "pool/stoppable.hpp"

#include <coproc/bind_front.hpp>

#include <asio/experimental/awaitable_operators.hpp>

using namespace pool_test;
using namespace std::chrono_literals;

namespace {

int hold_element(const std::string& path, int n) { return hold(path, n); }

std::size_t length(const std::vector<char>& v) { return v.size(); }

coproc::task<int> waits_long(const std::string path)
{
    asio::steady_timer timer{co_await asio::this_coro::executor, 1h};
    note(path, 0);
    try {
        co_await timer.async_wait(asio::use_awaitable);
    } catch (const std::system_error& e) {
        if (e.code() == asio::error::operation_aborted)
            note(path, 2);
    }
    co_return ::getpid();
}

} // namespace

TEST_CASE("a call that lost against a timer is cancelled, and its task asked to stop", "[CAN-007]")
{
    in_loop([]() -> coproc::task<> {
        using namespace asio::experimental::awaitable_operators;
        board board;
        coproc::pool pool{with_grace(1, 1h)};
        auto before = co_await pool.apply(own_pid);
        auto either = pool.apply(polite, board.path()) || reached(board, 0, 1);
        auto first = co_await std::move(either);
        CHECK(first.index() == 1);
        CHECK(co_await pool.apply(own_pid) == before);
        CHECK(board[2] == 1);
    });
}

TEST_CASE("a running task that is cancelled ends when it is asked to, and its worker is used again", "[CAN-007]")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{with_grace(1, 1h)};
        auto before = co_await pool.apply(own_pid);
        auto running = pool.submit(polite, board.path());
        co_await reached(board, 0, 1);
        CHECK(running.cancel());
        CHECK(running.ready());
        CHECK(is<coproc::cancelled_error>(co_await failure_of(running.get())));
        CHECK(co_await pool.apply(own_pid) == before);
        CHECK(board[2] == 1);
    });
}

TEST_CASE("a coroutine that is cancelled while it runs is so at what it awaits")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{with_grace(1, 1h)};
        auto before = co_await pool.apply(own_pid);
        auto running = pool.submit(waits_long, board.path());
        co_await reached(board, 0, 1);
        CHECK(running.cancel());
        CHECK(co_await pool.apply(own_pid) == before);
        CHECK(board[2] == 1);
    });
}

TEST_CASE("a task that was not cancelled is not asked to stop")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{with_grace(1, 1h)};
        for (int i = 0; i < 5; ++i) {
            auto running = pool.submit(polite, board.path());
            co_await reached(board, 0, static_cast<std::uint32_t>(i + 1));
            CHECK(running.cancel());
            CHECK_FALSE(co_await pool.apply(coproc::this_task::stop_requested));
        }
        CHECK_FALSE(coproc::this_task::stop_requested());
    });
}

TEST_CASE("the worker of a cancelled task that does not end is stopped, and the next task has another", "[CAN-001][CAN-021]")
{
    auto stubborn = GENERATE(false, true);
    in_loop([=]() -> coproc::task<> {
        board board;
        coproc::pool pool{with_grace(1)};
        auto running = pool.submit(deaf_to_signals, board.path(), stubborn);
        co_await reached(board, 0, 1);
        auto before = static_cast<int>(board[9]);
        CHECK(running.cancel());
        CHECK(is<coproc::cancelled_error>(co_await failure_of(running.get())));
        CHECK(co_await pool.apply(own_pid) != before);
        CHECK(board[3] == 1);
        CHECK(support::has_ended(before));
    });
}

TEST_CASE("a waiting task that is cancelled never runs, and later ones do", "[CAN-002]")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{1};
        auto running = pool.submit(hold, board.path(), 1);
        std::list<coproc::async_result<std::uint32_t>> waiting;
        for (std::size_t i = 0; i < 10; ++i)
            waiting.push_back(pool.submit(note, board.path(), 100 + i));
        co_await reached(board, 0, 1);
        std::size_t i = 0;
        for (auto& w : waiting)
            if (i++ % 2 == 0)
                CHECK(w.cancel());
        board[1] = 1;
        co_await pool.close();
        for (i = 0; i < 10; ++i)
            CHECK(board[100 + i] == i % 2);
    });
}

TEST_CASE("no task is given to a worker whose task was cancelled and has not ended", "[CAN-003]")
{
    in_loop([]() -> coproc::task<> {
        board board, other;
        coproc::pool pool{with_grace(2, 1h)};
        auto running = pool.submit(deaf, board.path());
        co_await reached(board, 0, 1);
        CHECK(running.cancel());
        auto all = co_await pool.map(own_pid_of, up_to(200));
        for (int pid : all)
            CHECK(pid != static_cast<int>(board[9]));
        CHECK_FALSE(support::has_ended(static_cast<int>(board[9])));
    });
}

TEST_CASE("a map that is cancelled ends between two elements of a chunk")
{
    in_loop([]() -> coproc::task<> {
        using namespace asio::experimental::awaitable_operators;
        board board;
        coproc::pool pool{with_grace(1, 1h)};
        auto before = co_await pool.apply(own_pid);
        auto either = pool.map(coproc::bind_front(hold_element, board.path()), up_to(1000), {.chunk_size = 500}) || reached(board, 0, 1);
        auto first = co_await std::move(either);
        CHECK(first.index() == 1);
        board[1] = 1;
        CHECK(co_await pool.apply(own_pid) == before);
        CHECK(board[0] == 1);
    });
}

TEST_CASE("a pool can be destroyed, terminated or closed while a task is being stopped")
{
    auto how = GENERATE(0, 1, 2);
    in_loop([=]() -> coproc::task<> {
        board board;
        coproc::pool pool{with_grace(2, how == 2 ? 20ms : 3'600'000ms)};
        auto running = pool.submit(deaf_to_signals, board.path(), true);
        auto other = pool.submit({.retries = 3}, deaf, board.path());
        co_await reached(board, 0, 2);
        CHECK(running.cancel());
        CHECK(other.cancel());
        if (how == 1)
            pool.terminate();
        if (how == 2)
            co_await pool.close();
        CHECK(is<coproc::cancelled_error>(co_await failure_of(running.get())));
    });
}

TEST_CASE("a pool that is closed while tasks are being stopped runs the others first")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{with_grace(1)};
        auto running = pool.submit(deaf, board.path());
        co_await reached(board, 0, 1);
        std::list<coproc::async_result<int>> others;
        for (int i = 0; i < 10; ++i)
            others.push_back(pool.submit(twice, i));
        CHECK(running.cancel());
        co_await pool.close();
        int i = 0;
        for (auto& other : others)
            CHECK(co_await other.get() == 2 * i++);
    });
}

TEST_CASE("a cancelled task of one pool is nothing to another pool")
{
    in_loop([]() -> coproc::task<> {
        board board, other;
        coproc::pool pool{with_grace(1)}, second{with_grace(1)};
        auto running = pool.submit(deaf, board.path());
        auto beside = second.submit(hold, other.path(), 3);
        co_await reached(board, 0, 1);
        co_await reached(other, 0, 1);
        auto before = static_cast<int>(board[9]);
        CHECK(running.cancel());
        CHECK(co_await pool.apply(own_pid) != before);
        other[1] = 1;
        CHECK(co_await beside.get() == 3);
    });
}

TEST_CASE("limits hold for a task whose result was dropped")
{
    in_loop([]() -> coproc::task<> {
        board board, other;
        coproc::pool pool{with_grace(1)};
        static_cast<void>(pool.submit({.timeout = 50ms, .retries = 1}, deaf, board.path()));
        static_cast<void>(pool.submit({.deadline = 50ms}, note, other.path(), 0));
        static_cast<void>(pool.submit({.retries = 2}, goes_well_at, other.path(), fault::crash, 3u));
        co_await pool.close();
        CHECK(board[0] == 2);
        CHECK(other[0] == 3);
    });
}

TEST_CASE("many tasks with large arguments are cancelled, and their pool is closed")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{with_grace(2)};
        auto first = pool.submit(deaf, board.path());
        auto second = pool.submit(deaf, board.path());
        std::list<coproc::async_result<std::size_t>> all;
        for (int i = 0; i < 10; ++i)
            all.push_back(pool.submit(length, std::vector<char>(5'000'000)));
        co_await reached(board, 0, 2);
        for (auto& one : all)
            CHECK(one.cancel());
        CHECK(first.cancel());
        CHECK(second.cancel());
        co_await pool.close();
    });
}

TEST_CASE("tasks that are cancelled at any moment leave a pool that works", "[stress]")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{with_grace(2, 5ms)};
        for (unsigned i = 0; i < 300; ++i) {
            std::list<coproc::async_result<int>> all;
            for (int n = 0; n < 5; ++n) {
                all.push_back(pool.submit({.timeout = n == 2 ? 1ms : 0ms, .retries = n == 3 ? 1 : 0}, odd_fails, board.path(), static_cast<int>(i % 8)));
                all.push_back(pool.submit(twice, n));
            }
            co_await pass(std::chrono::microseconds{i * 7 % 900});
            for (auto& one : all)
                one.cancel();
        }
        auto results = co_await pool.map(twice, up_to(1000));
        CHECK(results[999] == 1998);
        co_await pool.close();
    });
}

TEST_CASE("a task that was cancelled in one loop is stopped in the next")
{
    board board;
    coproc::pool pool{with_grace(1)};
    in_loop([&]() -> coproc::task<> {
        auto running = pool.submit(deaf, board.path());
        static_cast<void>(co_await running.wait_for(1ms));
        co_await reached(board, 0, 1);
        CHECK(running.cancel());
    });
    in_loop([&]() -> coproc::task<> { CHECK(co_await pool.apply(own_pid) != static_cast<int>(board[9])); });
}
