// Calls that are not wanted any more, what becomes of a map when a task fails, and who goes first.
#include "pool/stoppable.hpp"

#include <coproc/bind_front.hpp>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/post.hpp>

#include <list>
#include <optional>
#include <tuple>

using namespace pool_test;
using namespace std::chrono_literals;
using coproc::collect;
using coproc::finish_all;

namespace {

coproc::pool_options with_grace(int workers, std::chrono::milliseconds grace = 20ms)
{
    coproc::pool_options options;
    options.workers = workers;
    options.grace = grace;
    return options;
}

int hold_element(const std::string& path, int n) { return hold(path, n); }

/// Word 0: those that are there; the first waits for `all` of them and throws, the others wait to be stopped.
int first_throws(const std::string& path, std::uint32_t all, int n)
{
    if (n != 0)
        return polite(path);
    wait_for(path, 0, all - 1);
    throw std::invalid_argument{"the first"};
}

/// The first waits for word 1, the second throws when all are there, the others wait for word 1.
int second_throws(const std::string& path, std::uint32_t all, int n)
{
    if (n != 1)
        return hold(path, n);
    wait_for(path, 0, all - 1);
    throw std::invalid_argument{"the second"};
}

/// The first holds on its own board.
int second_throws_after(const std::string& first, const std::string& path, int n) { return n == 0 ? hold(first, 0) : first_throws(path, 2, n - 1); }

void only_even(const std::string& path, int n) { odd_fails(path, n); }
bool is_small(int n)
{
    if (n > 9)
        throw std::out_of_range{"too large"};
    return n < 5;
}
int quotient(int a, int b)
{
    if (b == 0)
        throw std::domain_error{"by zero"};
    return a / b;
}
struct no_default { // but serializable as all are: it is default constructible
    std::string text;
    template <class Archive>
    void serialize(Archive& archive)
    {
        archive(text);
    }
};
no_default named(int n)
{
    if (n == 3)
        throw std::length_error{"three"};
    return {std::to_string(n)};
}

/// Writes `what` to the next word after 100; word 50 counts them.
void record(const std::string& path, std::uint32_t what) { words_in(path)[100 + note(path, 50) - 1] = what; }

std::vector<std::uint32_t> recorded(board& b)
{
    std::vector<std::uint32_t> result;
    for (std::size_t i = 0; i < b[50]; ++i)
        result.push_back(b[100 + i]);
    return result;
}

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

TEST_CASE("a task that fails stops those of its map that run")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{with_grace(3, 1h)};
        auto e = co_await failure_of(pool.map(coproc::bind_front(first_throws, board.path(), 3u), up_to(100), {.chunk_size = 1}));
        CHECK(is<std::invalid_argument>(e, "the first"));
        co_await pool.close();
        CHECK(board[0] == board[2]);
        CHECK(board[0] <= 3);
    });
}

TEST_CASE("a task that fails stops those behind it at once, though one before it still runs")
{
    in_loop([]() -> coproc::task<> {
        board board, before;
        coproc::pool pool{with_grace(3, 1h)};
        auto ends = [](coproc::pool& p, std::string path, std::string first) -> coproc::task<> {
            auto e = co_await failure_of(p.map(coproc::bind_front(second_throws_after, first, path), up_to(100), {.chunk_size = 1}));
            CHECK(is<std::invalid_argument>(e, "the first"));
        };
        bool ended = false;
        asio::co_spawn(co_await asio::this_coro::executor, ends(pool, board.path(), before.path()), [&](std::exception_ptr) { ended = true; });
        co_await reached(before, 0, 1);
        co_await reached(board, 0, 1);
        CHECK(co_await comes_true([&] { return board[2] == board[0]; }));
        CHECK_FALSE(ended);
        before[1] = 1;
        CHECK(co_await comes_true([&] { return ended; }));
    });
}

TEST_CASE("a pool can be destroyed while one task of a map has failed and others run")
{
    in_loop([]() -> coproc::task<> {
        board board;
        std::optional<coproc::pool> pool{with_grace(3)};
        bool ended = false;
        auto ends = [](coproc::pool& p, std::string path) -> coproc::task<> {
            CHECK(co_await failure_of(p.map(coproc::bind_front(second_throws, path, 3u), up_to(100), {.chunk_size = 1})));
        };
        asio::co_spawn(co_await asio::this_coro::executor, ends(*pool, board.path()), [&](std::exception_ptr) { ended = true; });
        co_await reached(board, 0, 2);
        co_await pass(20ms); // the failure arrives
        pool.reset();
        CHECK(co_await comes_true([&] { return ended; }));
    });
}

TEST_CASE("a map that finishes all runs each element once, and throws the first failure by index")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{2};
        auto e = co_await failure_of(pool.map(coproc::bind_front(odd_fails, board.path()), up_to(30), {.on_error = finish_all}));
        CHECK(is<std::invalid_argument>(e, "odd: 1"));
        for (std::size_t i = 0; i < 30; ++i)
            CHECK(board[100 + i] == 1);
    });
}

TEST_CASE("a map that finishes all gives its results when none fails")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        auto all = co_await pool.map(twice, up_to(100), {.on_error = finish_all});
        REQUIRE(all.size() == 100);
        CHECK(all[99] == 198);
    });
}

TEST_CASE("a map that collects gives a result or an error for each element, of crashes too")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{2};
        auto all = co_await pool.map(coproc::bind_front(odd_fails, board.path()), up_to(30), {.on_error = collect, .name = "odd_fails"});
        REQUIRE(all.size() == 30);
        for (std::size_t i = 0; i < 30; ++i) {
            CHECK(board[100 + i] == 1);
            if (i == 7) {
                REQUIRE(is<coproc::worker_crashed>(all[i].error()));
                try {
                    all[i].value();
                } catch (const coproc::worker_crashed& crash) {
                    CHECK(crash.index() == 7);
                    CHECK(crash.signal() == SIGKILL);
                }
            } else if (i % 2 != 0) {
                CHECK(is<std::invalid_argument>(all[i].error(), "odd: " + std::to_string(i)));
                try {
                    all[i].value();
                } catch (const coproc::remote_error& remote) {
                    CHECK(remote.index() == i);
                } catch (...) {
                }
            } else
                CHECK(all[i].value() == static_cast<int>(i));
        }
    });
}

TEST_CASE("a map collects from functions that return nothing, bool or a type of the user")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{2};
        std::vector<coproc::outcome<void>> nothing = co_await pool.map(coproc::bind_front(only_even, board.path()), up_to(10), {.on_error = collect});
        REQUIRE(nothing.size() == 10);
        for (std::size_t i = 0; i < 10; ++i)
            CHECK(nothing[i].has_value() == (i % 2 == 0));
        std::vector<coproc::outcome<bool>> truth = co_await pool.map(is_small, up_to(12), {.on_error = collect});
        REQUIRE(truth.size() == 12);
        for (std::size_t i = 0; i < 12; ++i)
            if (i > 9)
                CHECK(is<std::out_of_range>(truth[i].error(), "too large"));
            else
                CHECK(truth[i].value() == (i < 5));
        auto texts = co_await pool.map(named, up_to(5), {.on_error = collect});
        REQUIRE(texts.size() == 5);
        CHECK(texts[4]->text == "4");
        CHECK(is<std::length_error>(texts[3].error(), "three"));
    });
}

TEST_CASE("a map collects from an input of unknown length, whose own failure it throws")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        auto odd_ones = up_to(100);
        auto some = odd_ones | std::views::filter([](int n) { return n % 3 != 0; });
        auto all = co_await pool.map(named, some, {.on_error = collect});
        CHECK(all.size() == 66);
        CHECK(all[65]->text == "98");
        auto failing = odd_ones | std::views::transform([](int n) { return n == 50 ? throw std::logic_error{"the input"} : n; });
        CHECK(is<std::logic_error>(co_await failure_of(pool.map(named, failing, {.on_error = collect})), "the input"));
        std::vector<int> nothing;
        auto none = co_await pool.map(named, nothing, {.on_error = collect});
        CHECK(none.empty());
    });
}

TEST_CASE("starmap collects")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        std::vector<std::tuple<int, int>> inputs{{6, 3}, {1, 0}, {9, 3}};
        auto all = co_await pool.starmap(quotient, inputs, {.on_error = collect});
        REQUIRE(all.size() == 3);
        CHECK(all[0].value() == 2);
        CHECK(is<std::domain_error>(all[1].error(), "by zero"));
        CHECK(all[2].value() == 3);
    });
}

TEST_CASE("a map that collects and is cancelled throws, for nobody wants its outcomes")
{
    in_loop([]() -> coproc::task<> {
        using namespace asio::experimental::awaitable_operators;
        board board;
        coproc::pool pool{with_grace(1, 1h)};
        auto either = pool.map(coproc::bind_front(polite_to, board.path()), up_to(10), {.on_error = collect}) || reached(board, 0, 1);
        auto first = co_await std::move(either);
        CHECK(first.index() == 1);
        CHECK(co_await pool.apply(twice, 4) == 8);
        CHECK(board[0] == 1);
    });
}

TEST_CASE("what waits for a busy worker goes by priority, and by age among equals")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{1};
        auto running = pool.submit(hold, board.path(), 1);
        co_await reached(board, 0, 1);
        std::vector<std::uint32_t> expected;
        for (auto [what, priority] : {std::pair{30u, 0}, {31u, 0}, {40u, -1}, {20u, 1}, {10u, 2}, {32u, 0}, {21u, 1}, {41u, -1}})
            static_cast<void>(pool.submit({.priority = priority}, record, board.path(), what));
        board[1] = 1;
        co_await pool.close();
        CHECK(recorded(board) == std::vector<std::uint32_t>{10, 20, 21, 30, 31, 32, 40, 41});
    });
}

TEST_CASE("a single call overtakes a map of lower priority")
{
    in_loop([]() -> coproc::task<> {
        board board, gate;
        coproc::pool pool{1};
        auto running = pool.submit(hold, gate.path(), 1);
        co_await reached(gate, 0, 1);
        auto many = [](coproc::pool& p, std::string path) -> coproc::task<> {
            co_await p.map(coproc::bind_front(record, path), std::vector<std::uint32_t>(50, 2), {.chunk_size = 1});
        };
        asio::co_spawn(co_await asio::this_coro::executor, many(pool, board.path()), asio::detached);
        co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
        auto urgent = pool.submit({.priority = 1}, record, board.path(), 1u);
        gate[1] = 1;
        co_await urgent.get();
        CHECK(board[100] == 1);
        co_await pool.close();
        CHECK(board[50] == 51);
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
