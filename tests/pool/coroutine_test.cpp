// Tasks that are coroutines, many at a time in each worker.
#include "pool/board.hpp"
#include "pool/coroutines.hpp"
#include "pool/tasks.hpp"

#include "os/descriptor.hpp"

#include <coproc/error.hpp>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/post.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>
#include <csignal>
#include <numeric>
#include <ranges>
#include <stdexcept>
#include <string>
#include <unistd.h>
#include <vector>

using namespace pool_test;
using namespace coproc::detail;
using namespace std::chrono_literals;
namespace os = coproc::os;

namespace {

coproc::pool_options concurrently(int concurrency, int workers = 1)
{
    coproc::pool_options options;
    options.workers = workers;
    options.concurrency = concurrency;
    return options;
}

/// Goes on when `all` coroutines of its process wait here, all of them at once.
coproc::task<> meet(int all)
{
    static int here = 0;
    static auto* gate = new asio::steady_timer{co_await asio::this_coro::executor, asio::steady_timer::time_point::max()};
    if (++here < all) {
        std::error_code opened;
        co_await gate->async_wait(asio::redirect_error(asio::use_awaitable, opened));
    } else {
        here = 0;
        gate->cancel();
    }
}
coproc::task<int> twice_together(int all, int n)
{
    co_await meet(all);
    co_return 2 * n;
}
coproc::task<std::vector<char>> changed_together(int all, std::vector<char> bytes)
{
    co_await meet(all);
    for (auto& b : bytes)
        ++b;
    co_return bytes;
}

coproc::task<int> twice_at_once(int n) { co_return 2 * n; }

/// How many there are in this process, at the most.
coproc::task<int> crowd(int n)
{
    static int here = 0;
    int most = ++here;
    for (int i = 0; i < 1 + n % 5; ++i) {
        co_await yield();
        most = std::max(most, here);
    }
    --here;
    co_return most;
}

/// As hold.
coproc::task<int> hold_coroutine(std::string path, int value)
{
    note(path, 0);
    asio::steady_timer timer{co_await asio::this_coro::executor};
    while (words_in(path)[1] == 0) {
        timer.expires_after(1ms);
        co_await timer.async_wait(asio::use_awaitable);
    }
    note(path, 2);
    co_return value;
}
coproc::task<int> hold_coroutine_and_tell(std::string path)
{
    words_in(path)[9] = static_cast<std::uint32_t>(::getpid());
    co_return co_await hold_coroutine(path, 1);
}

/// Ends when the one after it has ended.
coproc::task<int> after_the_next(int last, int n)
{
    static std::vector<bool> ended(static_cast<std::size_t>(last) + 2);
    while (n != last && !ended[static_cast<std::size_t>(n) + 1])
        co_await yield();
    ended[static_cast<std::size_t>(n)] = true;
    co_return n;
}

int counted = 0;
coproc::task<int> count_down(int n)
{
    co_await yield();
    ++counted;
    co_return n;
}
coproc::task<int> die_after(int others)
{
    while (counted < others)
        co_await yield();
    std::raise(SIGKILL);
    co_return 0;
}
coproc::task<int> die_at_7(int n)
{
    if (n == 7)
        std::raise(SIGKILL);
    co_await yield();
    co_return n;
}

/// Gives which one of `all` it was that ended its delay.
coproc::task<int> rank_after(int all, int milliseconds)
{
    static int rank = 0;
    asio::steady_timer timer{co_await asio::this_coro::executor};
    co_await meet(all);
    static const auto begin = std::chrono::steady_clock::now();
    timer.expires_at(begin + std::chrono::milliseconds{milliseconds});
    co_await timer.async_wait(asio::use_awaitable);
    co_return rank++;
}

coproc::task<int> throw_later(int n)
{
    co_await yield();
    throw std::domain_error{"number " + std::to_string(n)};
}
coproc::task<int> throw_if_odd(int n)
{
    co_await yield();
    if (n % 2 != 0)
        throw std::domain_error{"number " + std::to_string(n)};
    co_return n;
}

coproc::task<int> own_pid_together(int all, int)
{
    co_await meet(all);
    co_return ::getpid();
}
int waits_in_plain_function(int n) { return coproc::sync_wait(twice_later(n)); }

coproc::task<int> has_own_pool(int n)
{
    coproc::pool pool{1};
    co_await yield();
    auto result = pool.apply(twice_later, n);
    co_return co_await std::move(result);
}

/// Lets an exception leave the loop.
coproc::task<> spoil_loop()
{
    asio::post(co_await asio::this_coro::executor, [] { throw std::length_error{"out of a handler"}; });
    static_cast<void>(co_await wait_for_ever());
}
coproc::task<int> leave_things_behind()
{
    auto executor = co_await asio::this_coro::executor;
    asio::co_spawn(executor, throw_later(1), asio::detached);
    asio::co_spawn(executor, wait_for_ever(), asio::detached);
    co_return 1;
}

void close_all_descriptors() { ::close_range(3, ~0u, 0); }

void copy_count(const std::string& path) { words_in(path)[5] = words_in(path)[2].load(); }

/// The end of a pipe, as an argument that carries a descriptor.
struct carried {
    std::shared_ptr<os::descriptor> end;

    void save(coproc::output_archive& archive) const { archive.attach({end->get(), end}); }
    void load(coproc::input_archive& archive)
    {
        auto attachment = archive.take_attachment();
        end = std::const_pointer_cast<os::descriptor>(std::static_pointer_cast<const os::descriptor>(attachment.keep));
    }
};
coproc::task<carried> write_together(int all, carried to)
{
    co_await meet(all);
    if (::write(to.end->get(), "x", 1) != 1)
        throw std::runtime_error{"it can't be written"};
    co_return to;
}

} // namespace

TEST_CASE("a pool whose workers should run no coroutine at a time, or too many, is refused")
{
    for (int n : {0, -1, 1'000'001})
        CHECK_THROWS_AS(coproc::pool{concurrently(n)}, coproc::usage_error);
}

TEST_CASE("a worker runs as many coroutines at a time as it was told", "[ASY-001]")
{
    int all = GENERATE(2, 100, 3000);
    in_loop([=]() -> coproc::task<> {
        coproc::pool pool{concurrently(all)};
        auto f = coproc::bind_front(twice_together, all);
        auto results = co_await pool.map(f, std::views::iota(0, 2 * all));
        for (int i = 0; i < 2 * all; ++i)
            REQUIRE(results[static_cast<std::size_t>(i)] == 2 * i);
    });
}

TEST_CASE("a worker never runs more coroutines at a time than it was told", "[ASY-011]")
{
    int limit = GENERATE(1, 3, 10);
    in_loop([=]() -> coproc::task<> {
        coproc::pool pool{concurrently(limit)};
        auto most = co_await pool.map(crowd, std::views::iota(0, 300), {.chunk_size = 1});
        CHECK(std::ranges::max(most) <= limit);
    });
}

TEST_CASE("results of coroutines that end in another order keep the order of the inputs")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{concurrently(20)};
        auto results = co_await pool.map(coproc::bind_front(after_the_next, 19), std::views::iota(0, 20));
        std::vector<int> expected(20);
        std::iota(expected.begin(), expected.end(), 0);
        CHECK(results == expected);
    });
}

TEST_CASE("coroutines of one worker end in the order of their delays", "[EXE-040]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{concurrently(5)};
        std::vector<int> delays{30, 10, 20, 0, 40};
        auto ranks = co_await pool.map(coproc::bind_front(rank_after, 5), delays);
        CHECK(ranks == std::vector<int>{3, 1, 2, 0, 4});
    });
}

TEST_CASE("coroutines that never wait can be many, too")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{concurrently(8, 2)};
        for (std::size_t chunk : {0, 1, 10}) {
            auto results = co_await pool.map(twice_at_once, std::views::iota(0, 3000), {.chunk_size = chunk});
            for (int i = 0; i < 3000; ++i)
                REQUIRE(results[static_cast<std::size_t>(i)] == 2 * i);
        }
    });
}

TEST_CASE("the elements of a chunk of coroutines run one after the other")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{concurrently(3)};
        auto most = co_await pool.map(crowd, std::views::iota(0, 100), {.chunk_size = 100});
        CHECK(std::ranges::max(most) == 1);
    });
}

TEST_CASE("an exception of a coroutine arrives while others go on, and leaves them alone", "[ASY-010]")
{
    in_loop([]() -> coproc::task<> {
        board b;
        coproc::pool pool{concurrently(4)};
        auto first = pool.submit(hold_coroutine, b.path(), 1), second = pool.submit(hold_coroutine, b.path(), 2);
        co_await reached(b, 0, 2);
        for (int i = 0; i < 10; ++i)
            CHECK(is<std::domain_error>(co_await failure_of(pool.apply(throw_later, i)), "number " + std::to_string(i)));
        b[1] = 1;
        CHECK(co_await first.get() == 1);
        CHECK(co_await second.get() == 2);
    });
}

TEST_CASE("a map of coroutines throws what the first of them threw, by index")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{concurrently(10, 2)};
        auto numbers = std::views::iota(0, 100) | std::views::transform([](int n) { return n < 50 ? 2 * n : n; });
        auto e = co_await failure_of(pool.map(throw_if_odd, numbers));
        CHECK(is<std::domain_error>(e, "number 51"));
        CHECK(co_await pool.apply(twice_later, 1) == 2);
    });
}

TEST_CASE("a plain function runs while coroutines wait, and may wait itself")
{
    in_loop([]() -> coproc::task<> {
        board b;
        coproc::pool pool{concurrently(4)};
        std::vector<coproc::async_result<int>> held;
        for (int i = 0; i < 3; ++i)
            held.push_back(pool.submit(hold_coroutine, b.path(), i));
        co_await reached(b, 0, 3);
        for (int i = 0; i < 10; ++i) {
            CHECK(co_await pool.apply(twice, i) == 2 * i);
            CHECK(co_await pool.apply(waits_in_plain_function, i) == 2 * i);
            CHECK(co_await pool.apply(twice_later, i) == 2 * i);
        }
        auto many = co_await pool.map(twice, std::views::iota(0, 5000));
        CHECK(many[4999] == 9998);
        b[1] = 1;
        for (int i = 0; i < 3; ++i)
            CHECK(co_await held[static_cast<std::size_t>(i)].get() == i);
    });
}

TEST_CASE("plain functions and coroutines share a pool, whatever their order")
{
    in_loop([]() -> coproc::task<> {
        using namespace asio::experimental::awaitable_operators;
        coproc::pool pool{concurrently(5, 2)};
        auto all = pool.map(twice, std::views::iota(0, 1000), {.chunk_size = 3}) && pool.map(twice_later, std::views::iota(0, 1000))
                   && pool.map(waits_in_plain_function, std::views::iota(0, 200));
        auto [plain, coroutines, waiting] = co_await std::move(all);
        CHECK(plain == coroutines);
        CHECK(std::equal(waiting.begin(), waiting.end(), plain.begin()));
    });
}

TEST_CASE("a task that closes all descriptors beside coroutines costs them and its worker, which is replaced")
{
    in_loop([]() -> coproc::task<> {
        board b;
        coproc::pool pool{concurrently(4)};
        auto held = pool.submit(hold_coroutine, b.path(), 1);
        co_await reached(b, 0, 1);
        auto closing = failure_of(pool.apply(close_all_descriptors));
        static_cast<void>(co_await std::move(closing));
        CHECK(is<coproc::worker_crashed>(co_await failure_of(held.get())));
        CHECK(co_await pool.apply(twice_later, 1) == 2);
    });
}

TEST_CASE("a worker that is killed costs the coroutines that it ran and no others", "[CRA-048]")
{
    in_loop([]() -> coproc::task<> {
        board b;
        coproc::pool pool{concurrently(10)};
        std::vector<coproc::async_result<int>> results;
        for (int i = 0; i < 30; ++i)
            results.push_back(pool.submit(hold_coroutine_and_tell, b.path()));
        co_await reached(b, 0, 10);
        ::kill(static_cast<pid_t>(b[9].load()), SIGKILL);
        for (std::size_t i = 0; i < 10; ++i)
            CHECK(is<coproc::worker_crashed>(co_await failure_of(results[i].get())));
        b[1] = 1;
        for (std::size_t i = 10; i < 30; ++i)
            CHECK(co_await results[i].get() == 1);
        CHECK(b[0] == 30);
        CHECK(b[2] == 20);
    });
}

TEST_CASE("what a worker's coroutines have finished when it dies is kept")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{concurrently(10)};
        auto last = pool.submit(die_after, 50); // all before the loop runs: nobody reads results in between
        std::vector<coproc::async_result<int>> results;
        for (int i = 0; i < 50; ++i)
            results.push_back(pool.submit(count_down, i));
        for (int i = 0; i < 50; ++i)
            CHECK(co_await results[static_cast<std::size_t>(i)].get() == i);
        CHECK(is<coproc::worker_crashed>(co_await failure_of(last.get())));
    });
}

TEST_CASE("of a chunk that ran beside others when its worker died, the error names the first element")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{concurrently(3)};
        auto e = co_await failure_of(pool.map(die_at_7, std::views::iota(0, 10), {.chunk_size = 5}));
        try {
            REQUIRE(e);
            std::rethrow_exception(e);
        } catch (const coproc::worker_crashed& crash) {
            CHECK(crash.index() % 5 == 0);
        }
    });
}

TEST_CASE("coroutines that run at the same time have large arguments and results of their own")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{concurrently(8)};
        std::vector<std::vector<char>> inputs;
        for (int i = 0; i < 32; ++i)
            inputs.emplace_back(static_cast<std::size_t>(i % 4 == 0 ? 100 : 200'000 + i), static_cast<char>(i));
        auto results = co_await pool.map(coproc::bind_front(changed_together, 8), inputs);
        for (std::size_t i = 0; i < inputs.size(); ++i) {
            REQUIRE(results[i].size() == inputs[i].size());
            CHECK(std::ranges::all_of(results[i], [&](char c) { return c == static_cast<char>(i + 1); }));
        }
    });
}

TEST_CASE("coroutines that run at the same time have descriptors of their own")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{concurrently(8)};
        std::vector<os::descriptor> readable;
        std::vector<carried> writable;
        for (int i = 0; i < 16; ++i) {
            auto [from, to] = os::make_pipe();
            readable.push_back(std::move(from));
            writable.push_back({std::make_shared<os::descriptor>(std::move(to))});
        }
        auto back = co_await pool.map(coproc::bind_front(write_together, 8), writable);
        for (std::size_t i = 0; i < back.size(); ++i) {
            CHECK(::write(back[i].end->get(), "y", 1) == 1);
            char read[3]{};
            CHECK(::read(readable[i].get(), read, sizeof read) == 2);
            CHECK(std::string{read} == "xy");
        }
    });
}

TEST_CASE("a worker that has begun as many coroutines as it may is replaced when they have ended", "[ASY-007]")
{
    in_loop([]() -> coproc::task<> {
        auto options = concurrently(5);
        options.max_tasks_per_worker = 10;
        coproc::pool pool{options};
        auto pids = co_await pool.map(coproc::bind_front(own_pid_together, 5), std::views::iota(0, 40));
        std::map<int, int> tasks;
        for (int pid : pids)
            ++tasks[pid];
        CHECK(tasks.size() == 4);
        CHECK(std::ranges::all_of(tasks, [](auto& t) { return t.second == 10; }));
    });
}

TEST_CASE("close waits for the coroutines, and a worker's finalizer runs after its last one")
{
    in_loop([]() -> coproc::task<> {
        using namespace asio::experimental::awaitable_operators;
        board b;
        auto options = concurrently(5);
        options.finalizer = coproc::bind_front(copy_count, b.path());
        coproc::pool pool{options};
        std::vector<coproc::async_result<int>> results;
        for (int i = 0; i < 8; ++i)
            results.push_back(pool.submit(hold_coroutine, b.path(), i));
        auto let_go = [](board& on) -> coproc::task<> {
            co_await reached(on, 0, 5);
            on[1] = 1;
        };
        auto both = pool.close() && let_go(b);
        co_await std::move(both);
        CHECK(b[5] == 8);
        for (int i = 0; i < 8; ++i)
            CHECK(co_await results[static_cast<std::size_t>(i)].get() == i);
    });
}

TEST_CASE("coroutines of one worker have pools of their own, also beside a plain function that waits")
{
    in_loop([]() -> coproc::task<> {
        using namespace asio::experimental::awaitable_operators;
        coproc::pool pool{concurrently(3)};
        auto both = pool.map(has_own_pool, std::views::iota(0, 9)) && pool.map(waits_in_plain_function, std::views::iota(0, 50));
        auto [inner, plain] = co_await std::move(both);
        for (int i = 0; i < 9; ++i)
            CHECK(inner[static_cast<std::size_t>(i)] == 2 * i);
        CHECK(plain[49] == 98);
    });
}

TEST_CASE("what a coroutine leaves on the loop does no harm to its worker")
{
    int concurrency = GENERATE(1, 4);
    in_loop([=]() -> coproc::task<> {
        coproc::pool pool{concurrently(concurrency)};
        int pid = co_await pool.apply(own_pid);
        for (int i = 0; i < 5; ++i)
            CHECK(co_await pool.apply(leave_things_behind) == 1);
        auto results = co_await pool.map(twice_later, std::views::iota(0, 100));
        CHECK(results[99] == 198);
        CHECK(co_await pool.apply(own_pid) == pid);
        co_await pool.close();
    });
}

TEST_CASE("an exception that leaves the loop is what the coroutines on it throw, and the worker goes on with a new one")
{
    int concurrency = GENERATE(1, 4);
    in_loop([=]() -> coproc::task<> {
        board b;
        coproc::pool pool{concurrently(concurrency)};
        int pid = co_await pool.apply(own_pid);
        std::vector<coproc::async_result<int>> held;
        for (int i = 1; i < concurrency; ++i)
            held.push_back(pool.submit(hold_coroutine, b.path(), i));
        co_await reached(b, 0, static_cast<std::uint32_t>(concurrency - 1));
        CHECK(is<std::length_error>(co_await failure_of(pool.apply(spoil_loop)), "out of a handler"));
        for (auto& one : held)
            CHECK(is<std::length_error>(co_await failure_of(one.get()), "out of a handler"));
        auto results = co_await pool.map(twice_later, std::views::iota(0, 100));
        CHECK(results[99] == 198);
        CHECK(co_await pool.apply(own_pid) == pid);
    });
}
