// Limits of time, deadlines and further tries.
#include "pool/stoppable.hpp"

#include <coproc/bind_front.hpp>
#include <coproc/pipe.hpp>

#include <asio/experimental/awaitable_operators.hpp>

#include <atomic>
#include <numeric>
#include <optional>

using namespace pool_test;
using namespace std::chrono_literals;

namespace {

constexpr auto soon = 50ms; // a limit that is meant to be passed
constexpr std::chrono::nanoseconds never = 1h;

/// The seventh does not end; the others count.
int seventh_is_deaf(const std::string& path, int n)
{
    if (n == 7)
        return deaf(path);
    note(path, 100 + static_cast<std::size_t>(n));
    return n;
}

int note_worker(const std::string& path, std::size_t index)
{
    note(path, index);
    return ::getpid();
}

std::size_t spoils_its_argument(const std::string& path, std::vector<char> v)
{
    for (char c : v)
        if (c != 'x')
            throw std::logic_error{"it was spoiled before"};
    std::fill(v.begin(), v.end(), 'y');
    if (note(path, 0) < 3)
        throw std::runtime_error{"once more"};
    return v.size();
}

int reads_and_fails(const std::string& path, bool dies, coproc::connection from)
{
    auto first = from.try_recv<int>();
    if (note(path, 0); dies)
        ::_exit(3);
    throw std::runtime_error{"was given " + std::to_string(first.value_or(-1))};
}

int crash_when_let(const std::string& path)
{
    note(path, 0);
    wait_for(path, 1, 1);
    ::_exit(3);
}

void poison(const std::string& path)
{
    note(path, 0);
    std::signal(SIGSEGV, SIG_DFL); // a sanitizer would make an exit of it
    std::raise(SIGSEGV);
}
int poison_at(const std::string& path, int bad, int n)
{
    if (n == bad)
        poison(path);
    return n;
}

/// Goes well at the third try of each element.
int third_time(const std::string& path, int n)
{
    if (note(path, 100 + static_cast<std::size_t>(n)) < 3)
        throw std::runtime_error{"not yet"};
    return n;
}

std::atomic<int> asked{0};
bool asks_and_refuses(const std::exception_ptr&)
{
    ++asked;
    return false;
}
bool any_error(const std::exception_ptr&) { return true; }
int counts_and_throws(const std::string& path)
{
    note(path, 7);
    throw std::runtime_error{"never"};
}
bool only_crashes(const std::exception_ptr& e) { return is<coproc::worker_crashed>(e); }
bool asks_in_anger(const std::exception_ptr&) { throw std::domain_error{"no answer"}; }

} // namespace

TEST_CASE("a task that runs for too long is a timeout_error that says how long, and harms no other", "[EXE-003]")
{
    in_loop([]() -> coproc::task<> {
        board board, other;
        coproc::pool pool{with_grace(2)};
        auto beside = pool.submit(hold, other.path(), 5);
        co_await reached(other, 0, 1);
        auto late = pool.submit({.timeout = soon, .name = "the late one"}, deaf, board.path());
        std::vector<coproc::async_result<int>> behind;
        for (int i = 0; i < 10; ++i)
            behind.push_back(pool.submit(twice, i));
        auto e = co_await failure_of(late.get());
        CHECK(is<coproc::timeout_error>(e, "the late one ran for more than 50 ms"));
        CHECK_FALSE(beside.ready());
        other[1] = 1;
        CHECK(co_await beside.get() == 5);
        for (int i = 0; i < 10; ++i)
            CHECK(co_await behind[static_cast<std::size_t>(i)].get() == 2 * i);
        CHECK(board[0] == 1);
    });
}

TEST_CASE("a task's time begins when it does, not when it was submitted", "[TMO-005]")
{
    in_loop([]() -> coproc::task<> {
        board board, other;
        coproc::pool pool{with_grace(1)};
        auto first = pool.submit(hold, board.path(), 1);
        auto in_pipe = pool.submit({.timeout = 1s}, twice, 2);
        auto waits = pool.submit({.timeout = 1s}, twice, 3);
        auto deaf_one = pool.submit({.timeout = 1s}, deaf, other.path());
        co_await reached(board, 0, 1);
        co_await pass(1200ms);
        CHECK_FALSE(in_pipe.ready());
        CHECK_FALSE(deaf_one.ready());
        board[1] = 1;
        CHECK(co_await first.get() == 1);
        CHECK(co_await in_pipe.get() == 4);
        CHECK(co_await waits.get() == 6);
        CHECK(is<coproc::timeout_error>(co_await failure_of(deaf_one.get())));
        CHECK(other[0] == 1);
    });
}

TEST_CASE("a task that ends when its time is up leaves its worker to the next one", "[CAN-007]")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{with_grace(1, 1h)};
        auto before = co_await pool.apply(own_pid);
        CHECK(is<coproc::timeout_error>(co_await failure_of(pool.apply({.timeout = soon}, polite, board.path()))));
        CHECK(co_await pool.apply(own_pid) == before);
        CHECK(board[2] == 1);
    });
}

TEST_CASE("a worker whose task does not end when its time is up gets SIGTERM and is replaced", "[TMO-001]")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{with_grace(1)};
        auto before = co_await pool.apply(own_pid);
        CHECK(is<coproc::timeout_error>(co_await failure_of(pool.apply({.timeout = soon}, deaf_to_signals, board.path(), false))));
        CHECK(co_await pool.apply(own_pid) != before);
        CHECK(board[3] == 1);
        CHECK(support::has_ended(before));
    });
}

TEST_CASE("a worker that ignores SIGTERM gets SIGKILL", "[TMO-002]")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{with_grace(1)};
        auto before = co_await pool.apply(own_pid);
        CHECK(is<coproc::timeout_error>(co_await failure_of(pool.apply({.timeout = soon}, deaf_to_signals, board.path(), true))));
        CHECK(co_await pool.apply(own_pid) != before);
        CHECK(board[3] == 1);
        CHECK(support::has_ended(before));
    });
}

TEST_CASE("a task's timeout_error does not wait for its worker's end")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{with_grace(1, 1h)};
        CHECK(is<coproc::timeout_error>(co_await failure_of(pool.apply({.timeout = soon}, deaf, board.path()))));
    });
}

TEST_CASE("what waits behind a task whose time is up runs elsewhere, once, and its worker gets nothing more", "[CAN-003]")
{
    in_loop([]() -> coproc::task<> {
        board board, other;
        coproc::pool pool{with_grace(2, 1h)};
        auto beside = pool.submit(hold, other.path(), 5);
        co_await reached(other, 0, 1);
        auto late = pool.submit({.timeout = 200ms}, deaf, board.path());
        std::vector<coproc::async_result<int>> behind;
        for (std::size_t i = 0; i < 10; ++i)
            behind.push_back(pool.submit(note_worker, board.path(), 100 + i));
        CHECK(is<coproc::timeout_error>(co_await failure_of(late.get())));
        other[1] = 1;
        co_await beside.get();
        for (std::size_t i = 0; i < 10; ++i) {
            CHECK(co_await behind[i].get() != static_cast<int>(board[9]));
            CHECK(board[100 + i] == 1);
        }
        CHECK_FALSE(support::has_ended(static_cast<int>(board[9])));
    });
}

TEST_CASE("a limit in a map that finishes all costs the element that passes it")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{with_grace(2)};
        auto e = co_await failure_of(pool.map(coproc::bind_front(seventh_is_deaf, board.path()), up_to(30), {.timeout = 500ms, .on_error = coproc::finish_all}));
        CHECK(is<coproc::timeout_error>(e));
        for (std::size_t i = 0; i < 30; ++i)
            CHECK(board[100 + i] == (i == 7 ? 0 : 1));
        CHECK(board[0] == 1);
    });
}

TEST_CASE("a limit in a map that collects is the outcome of the element that passes it")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{with_grace(2)};
        auto all = co_await pool.map(coproc::bind_front(seventh_is_deaf, board.path()), up_to(30), {.timeout = 500ms, .on_error = coproc::collect});
        REQUIRE(all.size() == 30);
        for (std::size_t i = 0; i < 30; ++i)
            if (i == 7)
                CHECK(is<coproc::timeout_error>(all[i].error()));
            else
                CHECK(all[i].value() == static_cast<int>(i));
    });
}

TEST_CASE("a limit that is passed in a map withdraws the rest")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{with_grace(1)};
        auto e = co_await failure_of(pool.map(coproc::bind_front(seventh_is_deaf, board.path()), up_to(1000), {.timeout = 500ms}));
        CHECK(is<coproc::timeout_error>(e));
        CHECK(co_await pool.apply(twice, 1) == 2);
        CHECK(board[100 + 6] == 1);
        CHECK(board[100 + 999] == 0);
    });
}

TEST_CASE("a task in a worker's pipe has no time to lose while the worker that was before it is dead")
{
    in_loop([]() -> coproc::task<> {
        board board, other;
        coproc::pool pool{with_grace(1)};
        auto crash = pool.submit(crash_when_let, board.path());
        auto limited = pool.submit({.timeout = 300ms}, twice, 4);
        co_await reached(board, 0, 1);
        std::vector<coproc::async_result<int>> first;
        for (int i = 0; i < 3; ++i)
            first.push_back(pool.submit({.priority = 1}, hold, other.path(), i));
        board[1] = 1;
        CHECK(is<coproc::worker_crashed>(co_await failure_of(crash.get())));
        co_await reached(other, 0, 1);
        co_await pass(500ms); // it has no worker in this time
        CHECK_FALSE(limited.ready());
        other[1] = 1;
        for (int i = 0; i < 3; ++i)
            CHECK(co_await first[static_cast<std::size_t>(i)].get() == i);
        CHECK(co_await limited.get() == 8);
    });
}

TEST_CASE("a deadline withdraws what waits and stops what runs")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{with_grace(2, 1h)};
        auto all = pool.map(coproc::bind_front(polite_to, board.path()), up_to(100), {.deadline = 300ms});
        CHECK(is<coproc::timeout_error>(co_await failure_of(std::move(all)), "the call took more than 300 ms"));
        co_await pool.close();
        CHECK(board[0] <= 2);
        CHECK(board[2] == board[0]);
    });
}

TEST_CASE("a task whose deadline passes while it waits never runs")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{with_grace(1)};
        auto first = pool.submit(hold, board.path(), 1);
        auto in_pipe = pool.submit({.deadline = 100ms}, note, board.path(), 5);
        auto waits = pool.submit({.deadline = 100ms}, note, board.path(), 5);
        CHECK(is<coproc::timeout_error>(co_await failure_of(waits.get())));
        CHECK(is<coproc::timeout_error>(co_await failure_of(in_pipe.get())));
        board[1] = 1;
        CHECK(co_await first.get() == 1);
        co_await pool.close();
        CHECK(board[5] == 0);
    });
}

TEST_CASE("a call that ends before its deadline is not touched by it")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{with_grace(2)};
        for (auto deadline : {std::chrono::nanoseconds{0}, never, std::chrono::nanoseconds::max()}) {
            CHECK(co_await pool.apply({.deadline = deadline}, twice, 3) == 6);
            CHECK(co_await pool.apply({.timeout = deadline}, twice, 3) == 6);
            auto all = co_await pool.map(twice, up_to(100), {.timeout = deadline, .deadline = deadline});
            CHECK(all.size() == 100);
        }
    });
}

TEST_CASE("a result that was there before the deadline counts, even if the loop comes to it later")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{with_grace(1)};
        co_await pool.apply(own_pid);
        auto limited = pool.submit({.deadline = 500ms}, twice, 3);
        auto after = pool.submit(note, board.path(), 0);
        co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
        CHECK(board.reaches(0, 1)); // and so the first has ended
        ::usleep(600'000);          // a loop that is busy with something else
        CHECK(co_await limited.get() == 6);
        CHECK(co_await after.get() == 1);
    });
}

TEST_CASE("a result that was there before its task's time was up counts, even if the loop comes to it later")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{with_grace(1)};
        co_await pool.apply(own_pid);
        auto limited = pool.submit({.timeout = 500ms}, twice, 3);
        auto after = pool.submit(note, board.path(), 0);
        co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
        CHECK(board.reaches(0, 1));
        ::usleep(600'000);
        CHECK(co_await limited.get() == 6);
        CHECK(co_await after.get() == 1);
    });
}

TEST_CASE("a limit below zero is refused", "[TMO-007]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        CHECK_THROWS_AS(pool.submit({.timeout = -1ns}, twice, 1), coproc::usage_error);
        CHECK_THROWS_AS(pool.submit({.deadline = -1ns}, twice, 1), coproc::usage_error);
        CHECK_THROWS_AS(pool.submit({.backoff = -1ns}, twice, 1), coproc::usage_error);
        CHECK(co_await pool.apply(twice, 1) == 2);
    });
}

TEST_CASE("a wait that is too short leaves the task alone", "[TMO-006][TMO-010]")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{1};
        auto running = pool.submit(hold, board.path(), 4);
        auto begin = std::chrono::steady_clock::now();
        CHECK_FALSE(co_await running.wait_for(30ms));
        CHECK(std::chrono::steady_clock::now() - begin >= 30ms);
        board[1] = 1;
        CHECK(co_await running.get() == 4);
        CHECK(board[0] == 1);
    });
}

TEST_CASE("the clocks of a loop that rests go on with the next one")
{
    board board, other;
    coproc::pool pool{with_grace(1)};
    std::optional<coproc::async_result<int>> late, waits;
    in_loop([&]() -> coproc::task<> {
        co_await pool.apply(own_pid);
        late = pool.submit({.timeout = 100ms}, deaf, board.path());
        waits = pool.submit({.deadline = 100ms}, deaf, other.path());
        co_await reached(board, 0, 1);
    });
    in_loop([&]() -> coproc::task<> {
        CHECK(is<coproc::timeout_error>(co_await failure_of(late->get())));
        CHECK(is<coproc::timeout_error>(co_await failure_of(waits->get())));
        CHECK(co_await pool.apply(twice, 1) == 2);
    });
    CHECK(other[0] == 0);
}

TEST_CASE("a worker that was being stopped when its loop ended is stopped on the next one")
{
    board board;
    coproc::pool pool{with_grace(1, 100ms)};
    in_loop([&]() -> coproc::task<> {
        CHECK(is<coproc::timeout_error>(co_await failure_of(pool.apply({.timeout = soon}, deaf, board.path()))));
    });
    in_loop([&]() -> coproc::task<> {
        CHECK(co_await pool.apply(own_pid) != static_cast<int>(board[9]));
    });
}

TEST_CASE("a task that fails is tried again until it goes well, never twice at a time")
{
    auto what = GENERATE(fault::exception, fault::crash, fault::no_end);
    in_loop([=]() -> coproc::task<> {
        board board;
        coproc::pool pool{with_grace(2)};
        CHECK(co_await pool.apply({.timeout = what == fault::no_end ? 100ms : 0ms, .retries = 5}, goes_well_at, board.path(), what, 4u) == 4);
        CHECK(board[0] == 4);
        CHECK(board[4] == 0);
    });
}

TEST_CASE("a task that fails at each of its tries fails with the last error")
{
    auto what = GENERATE(fault::exception, fault::crash, fault::no_end);
    in_loop([=]() -> coproc::task<> {
        board board;
        coproc::pool pool{with_grace(2)};
        auto e = co_await failure_of(
            pool.apply({.timeout = what == fault::no_end ? 50ms : 0ms, .retries = 2}, goes_well_at, board.path(), what, 100u));
        CHECK((what == fault::exception ? is<std::runtime_error>(e, "try 3")
               : what == fault::crash   ? is<coproc::worker_crashed>(e)
                                        : is<coproc::timeout_error>(e)));
        co_await pool.close();
        CHECK(board[0] == 3);
        CHECK(board[4] == 0);
    });
}

TEST_CASE("without retries a task that ends its worker has run once")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{2};
        CHECK(is<coproc::worker_crashed>(co_await failure_of(pool.apply(poison, board.path()))));
        co_await pool.close();
        CHECK(board[0] == 1);
    });
}

TEST_CASE("a task whose time is up is tried again in the same worker if it ended by itself")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{with_grace(1, 1h)};
        auto before = co_await pool.apply(own_pid);
        CHECK(is<coproc::timeout_error>(co_await failure_of(pool.apply({.timeout = soon, .retries = 2}, polite, board.path()))));
        CHECK(co_await pool.apply(own_pid) == before);
        CHECK(board[0] == 3);
        CHECK(board[2] == 3);
    });
}

TEST_CASE("a task that takes its arguments apart gets them whole at the next try")
{
    auto size = GENERATE(10u, 1'000'000u);
    in_loop([=]() -> coproc::task<> {
        board board;
        coproc::pool pool{1};
        std::vector<char> large(size, 'x');
        CHECK(co_await pool.apply({.retries = 3}, spoils_its_argument, board.path(), large) == size);
        CHECK(board[0] == 3);
    });
}

TEST_CASE("a task that was given an end of a connection is not tried again once it has begun, and the end is closed")
{
    bool dies = GENERATE(false, true);
    bool without_workers = GENERATE(false, true);
    if (dies && without_workers)
        return;
    in_loop([=]() -> coproc::task<> {
        board board;
        auto pool = without_workers ? coproc::pool{coproc::inline_workers} : coproc::pool{2};
        auto [here, there] = coproc::pipe();
        for (int i = 0; i < 5; ++i)
            co_await here.send(i);
        auto e = co_await failure_of(pool.apply({.retries = 5}, reads_and_fails, board.path(), dies, std::move(there)));
        CHECK((dies ? is<coproc::worker_crashed>(e) : is<std::runtime_error>(e, "was given 0")));
        CHECK(board[0] == 1);
        CHECK(!co_await here.recv<int>());
    });
}

TEST_CASE("an error that is not worth it is no reason for a new try, and is asked about once")
{
    auto what = GENERATE(fault::exception, fault::crash, fault::no_end);
    in_loop([=]() -> coproc::task<> {
        board board;
        asked = 0;
        coproc::pool pool{with_grace(1)};
        auto e = co_await failure_of(pool.apply({.timeout = what == fault::no_end ? 50ms : 0ms, .retries = 5, .retry_if = asks_and_refuses},
                                                goes_well_at, board.path(), what, 2u));
        CHECK(e);
        co_await pool.close();
        CHECK(board[0] == 1);
        CHECK(asked == 1);
    });
}

TEST_CASE("new tries can be limited to crashes")
{
    auto what = GENERATE(fault::exception, fault::crash);
    in_loop([=]() -> coproc::task<> {
        board board;
        coproc::pool pool{with_grace(1)};
        auto e = co_await failure_of(pool.apply({.retries = 5, .retry_if = only_crashes}, goes_well_at, board.path(), what, 2u));
        CHECK((e == nullptr) == (what == fault::crash));
    });
}

TEST_CASE("what throws when asked about a new try fails the call, and nothing else")
{
    auto what = GENERATE(fault::exception, fault::crash, fault::no_end);
    in_loop([=]() -> coproc::task<> {
        board board;
        coproc::pool pool{with_grace(1)};
        auto e = co_await failure_of(pool.apply({.timeout = what == fault::no_end ? 50ms : 0ms, .retries = 5, .retry_if = asks_in_anger},
                                                goes_well_at, board.path(), what, 2u));
        CHECK(is<std::domain_error>(e, "no answer"));
        CHECK(co_await pool.apply(twice, 1) == 2);
    });
}

TEST_CASE("a new try waits for at least half of its time, which doubles")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{1};
        auto begin = std::chrono::steady_clock::now();
        CHECK(co_await pool.apply({.retries = 3, .backoff = 40ms}, goes_well_at, board.path(), fault::exception, 4u) == 4);
        CHECK(std::chrono::steady_clock::now() - begin >= 20ms + 40ms + 80ms);
    });
}

TEST_CASE("the longest times there are can be waited for")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{1};
        auto waits = pool.submit({.retries = 100, .backoff = std::chrono::nanoseconds::max()}, goes_well_at, board.path(), fault::exception, 9u);
        co_await reached(board, 0, 1);
        CHECK_FALSE(co_await waits.wait_for(50ms));
        CHECK(board[0] == 1);
    });
}

TEST_CASE("other tasks run while one waits for its next try")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{1};
        auto waits = pool.submit({.retries = 1, .backoff = 1h}, goes_well_at, board.path(), fault::exception, 2u);
        co_await reached(board, 0, 1);
        for (int i = 0; i < 100; ++i)
            CHECK(co_await pool.apply(twice, i) == 2 * i);
        CHECK_FALSE(waits.ready());
    });
}

TEST_CASE("a task that ends its worker each time is given up after its tries, and the pool lives")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{with_grace(2)};
        std::vector<coproc::async_result<int>> others;
        for (int i = 0; i < 50; ++i)
            others.push_back(pool.submit(twice, i));
        auto e = co_await failure_of(pool.map(coproc::bind_front(poison_at, board.path(), 13), up_to(20), {.retries = 7, .name = "poison_at"}));
        REQUIRE(is<coproc::worker_crashed>(e, "poison_at"));
        try {
            std::rethrow_exception(e);
        } catch (const coproc::worker_crashed& crash) {
            CHECK(crash.index() == 13);
            CHECK(crash.task_name() == "poison_at");
            CHECK(crash.signal() == SIGSEGV);
        }
        CHECK(board[0] == 8);
        for (int i = 0; i < 50; ++i)
            CHECK(co_await others[static_cast<std::size_t>(i)].get() == 2 * i);
        CHECK(co_await pool.apply(twice, 21) == 42);
    });
}

TEST_CASE("each element of a map has its own tries, and the order is kept", "[POOL-063]")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{2};
        auto all = co_await pool.map(coproc::bind_front(third_time, board.path()), up_to(50), {.retries = 2, .backoff = 1ms});
        CHECK(all == up_to(50));
        for (std::size_t i = 0; i < 50; ++i)
            CHECK(board[100 + i] == 3);
    });
}

TEST_CASE("an element of a map that collects is an error after its last try")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{2};
        auto all = co_await pool.map(coproc::bind_front(odd_fails, board.path()), up_to(20), {.retries = 2, .on_error = coproc::collect});
        REQUIRE(all.size() == 20);
        for (std::size_t i = 0; i < 20; ++i) {
            CHECK(all[i].has_value() == (i % 2 == 0));
            CHECK(board[100 + i] == (i % 2 == 0 ? 1 : 3));
        }
        CHECK(is<coproc::worker_crashed>(all[7].error()));
        CHECK(is<std::invalid_argument>(all[9].error(), "odd: 9"));
    });
}

TEST_CASE("less than no further tries are refused")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        CHECK_THROWS_AS(pool.submit({.retries = -1}, twice, 1), coproc::usage_error);
        CHECK_THROWS_AS(pool.map(twice, up_to(2), {.retries = -1, .on_error = coproc::collect}), coproc::usage_error);
        CHECK(co_await pool.apply(twice, 1) == 2);
    });
}

TEST_CASE("a deadline ends a call that waits for its next try")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{1};
        auto e = co_await failure_of(pool.apply({.deadline = 100ms, .retries = 3, .backoff = 1h}, goes_well_at, board.path(), fault::exception, 4u));
        CHECK(is<coproc::timeout_error>(e, "the call took"));
        co_await pool.close();
        CHECK(board[0] == 1);
    });
}

TEST_CASE("a task that waits for its next try and nobody waits for does not keep a pool from being destroyed")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{1};
        static_cast<void>(pool.submit({.retries = 3, .backoff = 1h}, goes_well_at, board.path(), fault::exception, 4u));
        co_await reached(board, 0, 1);
        co_await pass(10ms);
    });
}

TEST_CASE("a task that waits for its next try is cancelled with its pool")
{
    in_loop([]() -> coproc::task<> {
        board board;
        std::optional<coproc::pool> pool{1};
        auto waits = pool->submit({.retries = 3, .backoff = 1h}, goes_well_at, board.path(), fault::exception, 4u);
        co_await reached(board, 0, 1);
        CHECK_FALSE(co_await waits.wait_for(10ms));
        pool.reset();
        CHECK(is<coproc::cancelled_error>(co_await failure_of(waits.get())));
    });
}

TEST_CASE("a task that waits for its next try can be cancelled, and the pool be closed then")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{1};
        auto waits = pool.submit({.retries = 3, .backoff = 1h}, goes_well_at, board.path(), fault::exception, 4u);
        co_await reached(board, 0, 1);
        CHECK_FALSE(co_await waits.wait_for(10ms));
        CHECK(waits.cancel());
        CHECK(is<coproc::cancelled_error>(co_await failure_of(waits.get())));
        co_await pool.close();
        CHECK(board[0] == 1);
    });
}

TEST_CASE("close waits for tasks that wait for their next try")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{1};
        auto waits = pool.submit({.retries = 3, .backoff = 20ms}, goes_well_at, board.path(), fault::crash, 3u);
        co_await pool.close();
        REQUIRE(waits.ready());
        CHECK(co_await waits.get() == 3);
    });
}

TEST_CASE("a task waits for its next try while the pool has no loop, and runs on the next one")
{
    board board;
    coproc::pool pool{1};
    std::optional<coproc::async_result<int>> waits;
    in_loop([&]() -> coproc::task<> {
        co_await pool.apply(own_pid);
        waits = pool.submit({.retries = 3, .backoff = 100ms}, goes_well_at, board.path(), fault::exception, 2u);
        co_await reached(board, 0, 1);
        CHECK_FALSE(co_await waits->wait_for(10ms));
    });
    in_loop([&]() -> coproc::task<> { CHECK(co_await waits->get() == 2); });
}

TEST_CASE("a retry_if that always says yes gives no more tries than were asked for")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{1};
        CHECK(is<std::runtime_error>(co_await failure_of(pool.apply({.retries = 2, .retry_if = any_error}, counts_and_throws, board.path())), "never"));
        CHECK(board[7] == 3);
    });
}
