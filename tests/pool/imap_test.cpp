// Streams of results: imap, imap_unordered, chains of them, as_completed.
#include "pool/board.hpp"
#include "pool/tasks.hpp"

#include <coproc/as_completed.hpp>

#include <asio/experimental/awaitable_operators.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>
#include <csignal>
#include <numeric>
#include <ranges>
#include <set>
#include <stdexcept>

using namespace pool_test;
using namespace std::chrono_literals;

namespace {

int fail_on(int bad, int n)
{
    if (n == bad)
        throw std::out_of_range{"element " + std::to_string(n)};
    return n;
}
int die_on(int bad, int n)
{
    if (n == bad)
        std::raise(SIGKILL);
    return n;
}
/// Element 0 ends last.
int hold_first(const std::string& path, int n) { return n == 0 ? hold(path, n) : n; }
/// Tells which elements were begun, and waits for the word 9 with the first.
int hold_and_count(const std::string& path, int n)
{
    note(path, 10);
    return n == 0 ? hold(path, n) : n;
}
std::size_t size_of_text(const std::string& text) { return text.size(); }
std::string text_of(int n) { return std::to_string(n); }
std::string large(int n) { return std::string(8 << 20, static_cast<char>('a' + n % 26)); }
coproc::task<int> coroutine(int n) { co_return n + 1; }

template <class T>
coproc::task<std::vector<T>> all_of(coproc::stream<T> from)
{
    std::vector<T> result;
    for (;;) {
        auto next = from.next();
        auto item = co_await std::move(next);
        if (!item)
            co_return result;
        result.push_back(std::move(*item));
    }
}

// As all_of, and what it threw in the end.
template <class T>
coproc::task<std::exception_ptr> read_until_error(coproc::stream<T> from, std::vector<T>& items)
{
    try {
        while (auto item = co_await from.next())
            items.push_back(std::move(*item));
    } catch (...) {
        co_return std::current_exception();
    }
    co_return nullptr;
}

std::vector<int> numbers(int count)
{
    std::vector<int> result(static_cast<std::size_t>(count));
    std::iota(result.begin(), result.end(), 0);
    return result;
}

coproc::stream<int> counted(int count, int pause_every = 7)
{
    asio::steady_timer timer{co_await asio::this_coro::executor};
    for (int i = 0; i < count; ++i) {
        if (i % pause_every == 0) {
            timer.expires_after(100us);
            auto pause = timer.async_wait(asio::use_awaitable);
            co_await std::move(pause);
        }
        co_yield i;
    }
}
coproc::stream<int> broken_at(int bad)
{
    for (int i = 0; i < bad; ++i)
        co_yield i;
    throw std::runtime_error{"the input broke"};
}

} // namespace

TEST_CASE("imap gives the results one by one in the order of the inputs, and its end once", "[POOL-010]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        const auto chunk = GENERATE(0u, 1u, 7u, 1000u);
        auto results = pool.imap(twice, numbers(1000), {.chunk_size = chunk});
        for (int i = 0; i < 1000; ++i) {
            auto result = co_await results.next();
            REQUIRE(result == 2 * i);
        }
        auto end = co_await results.next(), after = co_await results.next();
        CHECK_FALSE(end);
        CHECK_FALSE(after);
    });
}

TEST_CASE("imap_unordered gives each result once, a slow one when it comes", "[POOL-011]")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{2};
        auto results = pool.imap_unordered(coproc::bind_front(hold_first, board.path()), numbers(10), {.chunk_size = 1});
        std::set<int> seen;
        for (int i = 0; i < 9; ++i)
            seen.insert((co_await results.next()).value());
        CHECK(seen.size() == 9);
        CHECK_FALSE(seen.contains(0));
        board[1] = 1;
        auto last = co_await results.next(), end = co_await results.next();
        CHECK(last == 0);
        CHECK_FALSE(end);
    });
}

TEST_CASE("a stream over nothing ends at once")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        CHECK((co_await all_of(pool.imap(twice, numbers(0)))).empty());
        CHECK((co_await all_of(pool.imap_unordered(twice, numbers(0)))).empty());
        CHECK((co_await all_of(pool.imap(twice, counted(0)))).empty());
    });
}

TEST_CASE("an input that throws reaches the consumer of imap after the results before it", "[POOL-008]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        auto input = std::views::iota(0, 100) | std::views::transform([](int n) {
            if (n == 20)
                throw std::runtime_error{"the input broke"};
            return n;
        });
        std::vector<int> items;
        auto e = co_await read_until_error(pool.imap(twice, input, {.chunk_size = 1}), items);
        CHECK(is<std::runtime_error>(e, "the input broke"));
        REQUIRE(items.size() == 20);
        CHECK(items.back() == 38);
        CHECK(co_await pool.apply(twice, 21) == 42);
    });
}

TEST_CASE("an input that throws ends imap_unordered after right results only", "[POOL-009]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        std::vector<int> items;
        auto e = co_await read_until_error(pool.imap_unordered(twice, broken_at(20)), items);
        CHECK(is<std::runtime_error>(e, "the input broke"));
        std::ranges::sort(items);
        auto expected = numbers(20);
        for (auto& n : expected)
            n *= 2;
        CHECK(items == expected);
    });
}

TEST_CASE("a task that fails ends the stream after the results before it")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        std::vector<int> items;
        auto e = co_await read_until_error(pool.imap(coproc::bind_front(fail_on, 30), std::views::iota(0), {.chunk_size = 1, .in_flight = 16}), items);
        CHECK(is<std::out_of_range>(e, "element 30"));
        CHECK(items == numbers(30));
    });
}

TEST_CASE("a worker that dies ends the stream with worker_crashed, which names the element")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        std::vector<int> items;
        auto e = co_await read_until_error(pool.imap(coproc::bind_front(die_on, 12), numbers(40), {.chunk_size = 1}), items);
        REQUIRE(is<coproc::worker_crashed>(e));
        CHECK(items == numbers(12));
        try {
            std::rethrow_exception(e);
        } catch (const coproc::worker_crashed& crash) {
            CHECK(crash.index() == 12);
        }
    });
}

TEST_CASE("a stream that finishes all gives what can be had, in order, and throws at its end")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        auto expected = numbers(40);
        std::erase(expected, 12);
        std::vector<int> items;
        auto e = co_await read_until_error(pool.imap(coproc::bind_front(die_on, 12), numbers(40), {.on_error = coproc::finish_all}), items);
        CHECK(is<coproc::worker_crashed>(e));
        CHECK(items == expected);
        items.clear();
        e = co_await read_until_error(pool.imap_unordered(coproc::bind_front(fail_on, 12), numbers(40), {.on_error = coproc::finish_all}), items);
        CHECK(is<std::out_of_range>(e));
        std::ranges::sort(items);
        CHECK(items == expected);
    });
}

TEST_CASE("a stream that collects gives an outcome for each element", "[POOL-041]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        auto outcomes = co_await all_of(pool.imap(coproc::bind_front(fail_on, 3), numbers(10), {.on_error = coproc::collect}));
        REQUIRE(outcomes.size() == 10);
        for (int i = 0; i < 10; ++i)
            CHECK(outcomes[static_cast<std::size_t>(i)].has_value() == (i != 3));
        CHECK(is<std::out_of_range>(outcomes[3].error()));
        CHECK(*outcomes[9] == 9);
    });
}

TEST_CASE("an endless input is read at most so far ahead as was asked for")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        const auto ahead = GENERATE(1u, 3u, 8u, 100u);
        const auto chunk = GENERATE(0u, 1u, 50u);
        unsigned produced = 0;
        auto endless = std::views::iota(0) | std::views::transform([&](int n) { return ++produced, n; });
        auto results = pool.imap(twice, endless, {.chunk_size = chunk, .in_flight = ahead});
        for (unsigned taken = 1; taken <= 50; ++taken) {
            auto result = co_await results.next();
            REQUIRE(result == static_cast<int>(2 * (taken - 1)));
            REQUIRE(produced <= taken + ahead);
        }
    });
}

TEST_CASE("large results that nobody takes stop the input")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        int produced = 0;
        auto endless = std::views::iota(0) | std::views::transform([&](int n) { return ++produced, n; });
        auto results = pool.imap(large, endless, {.chunk_size = 1, .in_flight = 1000});
        for (int i = 0; i < 5; ++i) {
            auto result = co_await results.next();
            REQUIRE(result->front() == static_cast<char>('a' + i % 26));
        }
        for (int i = 0; i < 50; ++i) // the workers take turns, so that the stream would go on if it could
            CHECK(co_await pool.apply(twice, i) == 2 * i);
        CHECK(produced < 25); // 32 MiB that wait are four of them, and each worker has a few more
        auto next = co_await results.next();
        CHECK(next->front() == 'f');
    });
}

TEST_CASE("destroying a stream withdraws what waits and stops what runs", "[CAN-016]")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{{.workers = 1, .grace = 10ms}};
        {
            auto results = pool.imap(coproc::bind_front(hold_and_count, board.path()), numbers(100), {.chunk_size = 1});
            co_await reached(board, 10, 1);
        }
        CHECK(co_await pool.apply(twice, 21) == 42);
        co_await pool.close();
        CHECK(board[10] == 1);
    });
}

TEST_CASE("cancelling a next withdraws the stream, and the pool goes on")
{
    using namespace asio::experimental::awaitable_operators;
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{{.workers = 1, .grace = 10ms}};
        auto results = pool.imap(coproc::bind_front(hold_and_count, board.path()), numbers(100), {.chunk_size = 1});
        asio::steady_timer timer{co_await asio::this_coro::executor, 1ms};
        auto race = results.next() || timer.async_wait(asio::use_awaitable);
        CHECK((co_await std::move(race)).index() == 1);
        auto end = co_await results.next();
        CHECK_FALSE(end);
        CHECK(co_await pool.apply(twice, 21) == 42);
    });
}

TEST_CASE("a stream whose pool is closed goes on to its end; one whose pool is terminated throws", "[POOL-032]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        auto results = pool.imap(twice, numbers(3000), {.chunk_size = 1, .in_flight = 4});
        CHECK((co_await results.next()) == 0);
        pool.terminate();
        std::vector<int> rest;
        CHECK(is<coproc::cancelled_error>(co_await read_until_error(std::move(results), rest)));
    });
}

TEST_CASE("a stream outlives its pool's handle and says that it was cancelled")
{
    in_loop([]() -> coproc::task<> {
        coproc::stream<int> results;
        {
            coproc::pool pool{1};
            results = pool.imap(twice, std::views::iota(0), {.in_flight = 4});
            CHECK((co_await results.next()) == 0);
        }
        std::vector<int> rest;
        CHECK(is<coproc::cancelled_error>(co_await read_until_error(std::move(results), rest)));
    });
}

TEST_CASE("ten tasks with 100 MB each are cancelled, and the pool ends", "[CAN-014]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        std::string much(100'000'000, 'x');
        std::vector<coproc::async_result<std::size_t>> submitted;
        for (int i = 0; i < 10; ++i)
            submitted.push_back(pool.submit(size_of_text, much));
        for (auto& result : submitted)
            result.cancel();
        for (auto& result : submitted) {
            auto e = co_await failure_of(result.get());
            CHECK((!e || is<coproc::cancelled_error>(e))); // one that was quicker has its result
        }
        co_await pool.close();
    });
}

TEST_CASE("several streams and calls share a pool")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        auto a = pool.imap(twice, numbers(200)), b = pool.imap_unordered(twice, numbers(200));
        int sum = 0;
        for (int i = 0; i < 200; ++i) {
            sum += (co_await a.next()).value() - (co_await b.next()).value();
            if (i % 50 == 0)
                CHECK(co_await pool.apply(twice, i) == 2 * i);
        }
        CHECK(sum == 0);
    });
}

TEST_CASE("coroutines stream their results too, in order", "[ASY-003]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{{.workers = 2, .concurrency = 10}};
        auto results = co_await all_of(pool.imap(coroutine, numbers(100)));
        auto expected = numbers(101);
        expected.erase(expected.begin());
        CHECK(results == expected);
        CHECK(co_await pool.map(coroutine, numbers(100)) == expected);
    });
}

TEST_CASE("stages chain: the results of one stream are the input of the next one")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        auto results = co_await all_of(pool.imap(text_of, pool.imap(twice, counted(300))));
        REQUIRE(results.size() == 300);
        for (int i = 0; i < 300; ++i)
            REQUIRE(results[static_cast<std::size_t>(i)] == std::to_string(2 * i));
    });
}

TEST_CASE("a stream as input is read at most so far ahead as was asked for")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        int produced = 0;
        auto input = [](int& count) -> coproc::stream<int> {
            for (;;)
                co_yield count++;
        };
        auto results = pool.imap(twice, input(produced), {.chunk_size = 1, .in_flight = 6});
        for (int taken = 1; taken <= 50; ++taken) {
            CHECK((co_await results.next()) == 2 * (taken - 1));
            REQUIRE(produced <= taken + 6);
        }
    });
}

TEST_CASE("a stream as input that throws ends the stream after the results before it")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        std::vector<int> items;
        CHECK(is<std::runtime_error>(co_await read_until_error(pool.imap(twice, broken_at(20)), items), "the input broke"));
        CHECK(items.size() == 20);
    });
}

TEST_CASE("without workers streams give the same, and read no more of the input than is taken")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{coproc::inline_workers};
        int produced = 0;
        auto endless = std::views::iota(0) | std::views::transform([&](int n) { return ++produced, n; });
        auto results = pool.imap(twice, endless);
        for (int i = 0; i < 10; ++i)
            CHECK((co_await results.next()) == 2 * i);
        CHECK(produced <= 11);
        CHECK((co_await all_of(pool.imap(text_of, pool.imap(coroutine, counted(20))))).size() == 20);
        std::vector<int> items;
        CHECK(is<std::out_of_range>(co_await read_until_error(pool.imap(coproc::bind_front(fail_on, 5), numbers(10)), items)));
        CHECK(items == numbers(5));
    });
}

TEST_CASE("as_completed gives each result once, as soon as its task has ended, whatever came of it")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{2};
        std::vector<coproc::async_result<int>> submitted;
        submitted.push_back(pool.submit(hold, board.path(), 1));
        submitted.push_back(pool.submit(fail_on, 7, 7));
        submitted.push_back(pool.submit(twice, 2));
        auto results = coproc::as_completed(std::move(submitted));
        auto first = co_await results.next();
        CHECK(first->ready());
        CHECK(is<std::out_of_range>(co_await failure_of(first->get())));
        auto second = co_await results.next();
        CHECK(co_await second->get() == 4);
        board[1] = 1;
        auto third = co_await results.next();
        CHECK(co_await third->get() == 1);
        auto end = co_await results.next();
        CHECK_FALSE(end);
    });
}

TEST_CASE("as_completed that is dropped lets the tasks run")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{1};
        {
            std::vector<coproc::async_result<int>> submitted;
            for (int i = 0; i < 10; ++i)
                submitted.push_back(pool.submit(hold_and_count, board.path(), i + 1));
            auto results = coproc::as_completed(std::move(submitted));
            static_cast<void>(co_await results.next());
        }
        co_await pool.close();
        CHECK(board[10] == 10);
    });
}
