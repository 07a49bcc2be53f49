// Generators that run in workers: pool.apply of a function that returns a stream.
#include "pool/board.hpp"
#include "pool/tasks.hpp"

#include <asio/experimental/awaitable_operators.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <thread>

using namespace pool_test;
using namespace std::chrono_literals;
using asio::experimental::awaitable_operators::operator||;

namespace {

coproc::stream<int> numbers(int count)
{
    for (int i = 0; i < count; ++i)
        co_yield i;
}
coproc::stream<int> fails_after(int count)
{
    for (int i = 0; i < count; ++i)
        co_yield i;
    throw std::out_of_range{"no item " + std::to_string(count)};
}
coproc::stream<int> dies_after(int count)
{
    for (int i = 0; i < count; ++i)
        co_yield i;
    std::raise(SIGKILL);
}
/// Word 0: how many were made; word 3: the generator was destroyed.
struct notes_its_end {
    explicit notes_its_end(std::string p) : path{std::move(p)} {}
    notes_its_end(const notes_its_end&) = delete;
    notes_its_end& operator=(const notes_its_end&) = delete;
    ~notes_its_end() { note(path, 3); }
    std::string path;
};
coproc::stream<std::uint32_t> endless(std::string path)
{
    notes_its_end end{path};
    for (;;) {
        auto made = note(path, 0);
        co_yield made;
    }
}
coproc::stream<std::string> texts(std::string path, std::size_t size)
{
    notes_its_end end{path};
    for (;;) {
        auto made = note(path, 0);
        co_yield std::string(size, static_cast<char>('a' + made % 26));
    }
}
/// Each item when word 1 is as large as its number; word 0: how many were made.
coproc::stream<int> on_demand(std::string path, int count)
{
    asio::steady_timer timer{co_await asio::this_coro::executor};
    for (int i = 1; i <= count; ++i) {
        while (words_in(path)[1] < static_cast<std::uint32_t>(i)) {
            timer.expires_after(1ms);
            auto pause = timer.async_wait(asio::use_awaitable);
            co_await std::move(pause);
        }
        note(path, 0);
        co_yield i;
    }
}
/// Gives its items at once, then computes until word 1 is set, without awaiting anything.
coproc::stream<int> goes_on_computing(std::string path, int count)
{
    for (int i = 0; i < count; ++i)
        co_yield i;
    wait_for(path, 1, 1);
}
coproc::stream<int> never_stops(std::string path)
{
    co_yield 1;
    note(path, 0);
    for (;;)
        std::this_thread::sleep_for(1ms);
}
coproc::stream<std::string_view> words_of(std::string text)
{
    for (std::string_view rest = text; !rest.empty();) {
        auto end = rest.find(' ');
        co_yield rest.substr(0, end);
        rest = end == rest.npos ? std::string_view{} : rest.substr(end + 1);
    }
}
/// Loading one fails when asked to.
struct fussy {
    int value = 0;
    template <class A>
    void serialize(A& archive)
    {
        archive(value);
        if constexpr (A::is_loading::value)
            if (value == 3)
                throw std::domain_error{"not this one"};
    }
};
coproc::stream<fussy> fussy_items(std::string path)
{
    notes_its_end end{path};
    for (int i = 0;; ++i) {
        fussy item;
        item.value = i;
        co_yield std::move(item);
    }
}
/// One whose saving fails.
struct unwilling {
    bool bad = false;
    template <class A>
    void serialize(A& archive)
    {
        if (bad)
            throw std::domain_error{"this one stays here"};
        archive(bad);
    }
};
coproc::stream<unwilling> unwilling_items()
{
    for (int i = 0; i < 4; ++i) {
        unwilling item;
        item.bad = i == 2;
        co_yield std::move(item);
    }
}
/// Counts in word 5 until word 6 is set, while its loop turns.
coproc::task<std::uint32_t> ticks(std::string path)
{
    asio::steady_timer timer{co_await asio::this_coro::executor};
    while (words_in(path)[6] == 0) {
        timer.expires_after(1ms);
        auto pause = timer.async_wait(asio::use_awaitable);
        co_await std::move(pause);
        note(path, 5);
    }
    co_return words_in(path)[5];
}
std::string same_text(std::string text) { return text; }
coproc::stream<int> own_pids(int count)
{
    asio::steady_timer timer{co_await asio::this_coro::executor};
    for (int i = 0; i < count; ++i) {
        timer.expires_after(100us);
        auto pause = timer.async_wait(asio::use_awaitable);
        co_await std::move(pause);
        co_yield ::getpid();
    }
}

struct numbered {
    int first = 0;
    coproc::stream<int> from(int count)
    {
        for (int i = 0; i < count; ++i)
            co_yield first + i;
    }
    template <class A>
    void serialize(A& archive)
    {
        archive(first);
    }
};

/// All items, and what was thrown in the end.
template <class T>
struct reading {
    std::vector<T> items;
    std::exception_ptr error;
};
template <class T>
coproc::task<reading<T>> read_all(coproc::stream<T> from)
{
    reading<T> result;
    try {
        for (;;) {
            auto next = from.next();
            auto item = co_await std::move(next);
            if (!item)
                break;
            result.items.push_back(std::move(*item));
        }
    } catch (...) {
        result.error = std::current_exception();
    }
    co_return result;
}

std::vector<int> up_to(int count)
{
    std::vector<int> result(static_cast<std::size_t>(count));
    std::iota(result.begin(), result.end(), 0);
    return result;
}

/// A pool with workers and one without: what doesn't depend on processes holds for both.
coproc::pool either_pool(bool in_line) { return in_line ? coproc::pool{coproc::inline_workers} : coproc::pool{1}; }

} // namespace

TEST_CASE("a generator's items come in order, then its end, once")
{
    in_loop([]() -> coproc::task<> {
        auto pool = either_pool(GENERATE(false, true));
        auto items = pool.apply(numbers, 1000);
        for (int i = 0; i < 1000; ++i) {
            auto item = co_await items.next();
            REQUIRE(item == i);
        }
        auto end = co_await items.next(), after = co_await items.next();
        CHECK_FALSE(end);
        CHECK_FALSE(after);
    });
}

TEST_CASE("a hundred thousand small items of a generator come")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        const auto window = GENERATE(std::size_t{0}, std::size_t{100}, std::size_t{1'000'000});
        auto all = co_await read_all(pool.apply({.in_flight = window}, numbers, 100'000));
        CHECK(all.items == up_to(100'000));
        CHECK_FALSE(all.error);
    });
}

TEST_CASE("a generator without items is an empty stream")
{
    in_loop([]() -> coproc::task<> {
        auto pool = either_pool(GENERATE(false, true));
        auto all = co_await read_all(pool.apply(numbers, 0));
        CHECK(all.items.empty());
        CHECK_FALSE(all.error);
    });
}

TEST_CASE("a generator may be a member function, a bound one, or give views")
{
    in_loop([]() -> coproc::task<> {
        auto pool = either_pool(GENERATE(false, true));
        numbered from_five;
        from_five.first = 5;
        auto members = co_await read_all(pool.apply(&numbered::from, from_five, 3));
        CHECK(members.items == std::vector{5, 6, 7});
        auto bound = co_await read_all(pool.apply(coproc::bind_front(numbers, 4)));
        CHECK(bound.items == up_to(4));
        auto views = co_await read_all(pool.apply(words_of, "one two three"));
        CHECK(views.items == std::vector<std::string>{"one", "two", "three"});
    });
}

TEST_CASE("what a generator throws comes after the items before it, with its type")
{
    in_loop([]() -> coproc::task<> {
        auto pool = either_pool(GENERATE(false, true));
        auto all = co_await read_all(pool.apply(fails_after, 3));
        CHECK(all.items == up_to(3));
        CHECK(is<std::out_of_range>(all.error, "no item 3"));
        CHECK(is<coproc::remote_error>(all.error));
    });
}

TEST_CASE("an item that can't be saved is the generator's failure; one that can't be loaded ends it")
{
    in_loop([]() -> coproc::task<> {
        board board;
        auto pool = either_pool(GENERATE(false, true));
        auto unsaved = co_await read_all(pool.apply(unwilling_items));
        CHECK(unsaved.items.size() == 2);
        CHECK(is<std::domain_error>(unsaved.error, "stays here"));
        auto unloaded = co_await read_all(pool.apply(fussy_items, board.path()));
        CHECK(unloaded.items.size() == 3);
        CHECK(is<std::domain_error>(unloaded.error, "not this one"));
        CHECK(board.reaches(3, 1));
        CHECK(co_await pool.apply(twice, 4) == 8); // by the same worker
    });
}

TEST_CASE("a worker's death in a generator is told of after all items that it had made")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        const auto count = GENERATE(0, 5, 900);
        auto all = co_await read_all(pool.apply(dies_after, count));
        CHECK(all.items == up_to(count));
        try {
            REQUIRE(all.error);
            std::rethrow_exception(all.error);
        } catch (const coproc::worker_crashed& e) {
            CHECK(e.signal() == SIGKILL);
        }
        CHECK(co_await pool.apply(twice, 4) == 8);
    });
}

TEST_CASE("a worker that is killed from outside loses none of the items that its generator has made")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{1};
        auto pid = co_await pool.apply(own_pid);
        auto items = pool.apply({.in_flight = 50}, endless, board.path());
        auto first = co_await items.next();
        CHECK(first == 1u);
        auto made = reached(board, 0, 50);
        co_await std::move(made);
        ::kill(pid, SIGKILL);
        auto rest = co_await read_all(std::move(items));
        CHECK(rest.items.size() >= 49);
        CHECK(rest.items.size() + 1 == board[0]);
        CHECK(is<coproc::worker_crashed>(rest.error));
    });
}

TEST_CASE("a generator is never more than its window ahead of what was taken")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{1};
        const auto window = GENERATE(1u, 2u, 7u, 100u);
        auto items = pool.apply({.in_flight = window}, endless, board.path());
        for (std::uint32_t taken = 1; taken <= 3 * window + 5; ++taken) {
            auto item = co_await items.next();
            REQUIRE(item == taken);
            REQUIRE(board[0] <= taken + window);
        }
        auto goes_on = reached(board, 0, 3 * window + 5 + window / 2); // what was taken makes room, half a window at a time
        co_await std::move(goes_on);
    });
}

TEST_CASE("a generator is not more than 32 MiB ahead of what was taken, and goes on when that was taken")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{{.workers = 1, .concurrency = 2}};
        auto items = pool.apply(texts, board.path(), std::size_t{1 << 20});
        auto first = co_await items.next();
        REQUIRE(first);
        for (std::uint32_t taken = 1; taken < 100; ++taken) {
            auto ahead = reached(board, 0, std::max(32u, taken + 15)); // half of the bound at least
            co_await std::move(ahead);
            CHECK(co_await pool.apply(twice, 1) == 2); // beside it, in the same worker
            REQUIRE(board[0] <= taken + 32); // each is a few bytes more than a MiB
            auto item = co_await items.next();
            REQUIRE(item->size() == 1 << 20);
            REQUIRE(item->front() == static_cast<char>('a' + (taken + 1) % 26));
        }
    });
}

TEST_CASE("an item of 100 MB comes, and several after it")
{
    in_loop([]() -> coproc::task<> {
        board board;
        auto pool = either_pool(GENERATE(false, true));
        auto items = pool.apply(texts, board.path(), std::size_t{100'000'000});
        for (std::uint32_t i = 1; i <= 3; ++i) {
            auto item = co_await items.next();
            REQUIRE(item->size() == 100'000'000);
            CHECK(item->front() == static_cast<char>('a' + i % 26));
            CHECK(item->back() == item->front());
            CHECK(board[0] <= i + 1);
        }
    });
}

TEST_CASE("items that travel in memory files are whole, however many there are, also when the generator ends at once")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        auto large = [](int count) -> coproc::stream<std::string> {
            for (int i = 0; i < count; ++i)
                co_yield std::string(70'000, static_cast<char>('a' + i % 26));
        };
        for (int round = 0; round < 20; ++round) {
            auto all = co_await read_all(pool.apply(large, round < 19 ? round : 3000));
            REQUIRE_FALSE(all.error);
            REQUIRE(all.items.size() == (round < 19 ? static_cast<std::size_t>(round) : 3000));
            for (std::size_t i = 0; i < all.items.size(); ++i)
                REQUIRE(all.items[i] == std::string(70'000, static_cast<char>('a' + i % 26)));
            CHECK((co_await pool.apply(same_text, std::string(200'000, 'x'))).size() == 200'000); // may use the files again
        }
    });
}

TEST_CASE("an item comes while its generator waits for the next one", "[POOL-011]")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{1};
        auto items = pool.apply(on_demand, board.path(), 20);
        for (int i = 1; i <= 20; ++i) {
            ++board[1];
            auto item = co_await items.next();
            REQUIRE(item == i);
            REQUIRE(board[0] == static_cast<std::uint32_t>(i));
        }
    });
}

TEST_CASE("items come while their generator computes without awaiting anything")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        for (int round = 0; round < 20; ++round) {
            board board;
            auto items = pool.apply(goes_on_computing, board.path(), 1 + round % 5);
            for (int i = 0; i < 1 + round % 5; ++i) {
                auto item = co_await items.next();
                REQUIRE(item == i);
            }
            ++board[1];
            auto end = co_await items.next();
            CHECK_FALSE(end);
        }
    });
}

TEST_CASE("the generator of a stream that is dropped is stopped, whether it waits for room or makes items")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        for (std::size_t window : {std::size_t{3}, std::size_t{1'000'000}}) {
            board taken_from, untouched;
            {
                auto items = pool.apply({.in_flight = window}, endless, taken_from.path());
                auto first = co_await items.next();
                CHECK(first == 1u);
            }
            CHECK(taken_from.reaches(3, 1));
            {
                auto items = pool.apply({.in_flight = window}, endless, untouched.path());
                auto begun = reached(untouched, 0, 1);
                co_await std::move(begun);
            }
            CHECK(untouched.reaches(3, 1));
            auto pid = co_await pool.apply(own_pid);
            { // before it can begin
                auto items = pool.apply({.in_flight = window}, endless, untouched.path());
            }
            CHECK(co_await pool.apply(own_pid) == pid);
        }
    });
}

TEST_CASE("a timer against an endless generator cancels it where it waits")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{1};
        auto pid = co_await pool.apply(own_pid);
        auto items = pool.apply(on_demand, board.path(), 5);
        ++board[1];
        auto first = co_await items.next();
        CHECK(first == 1);
        asio::steady_timer timer{co_await asio::this_coro::executor, 5ms};
        auto race = items.next() || timer.async_wait(asio::use_awaitable);
        auto winner = co_await std::move(race);
        CHECK(winner.index() == 1);
        CHECK(co_await pool.apply(own_pid) == pid); // it has ended there
        auto after = co_await items.next();
        CHECK_FALSE(after);
    });
}

TEST_CASE("a generator that does not stop when it is asked costs its worker")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{{.workers = 1, .grace = 20ms}};
        auto pid = co_await pool.apply(own_pid);
        {
            auto items = pool.apply(never_stops, board.path());
            auto begun = reached(board, 0, 1);
            co_await std::move(begun);
        }
        CHECK(co_await pool.apply(own_pid) != pid);
    });
}

TEST_CASE("generators run beside each other in one worker, and one that waits for its consumer holds up none")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{{.workers = 1, .concurrency = 4}};
        auto nobody_takes = pool.apply({.in_flight = 5}, endless, board.path());
        auto a = pool.apply({.in_flight = 3}, own_pids, 200), b = pool.apply({.in_flight = 500}, own_pids, 200);
        auto c = pool.apply(numbers, 100'000);
        std::optional<int> pid_a, pid_b, n;
        for (int i = 0; i < 200; ++i) {
            pid_a = co_await a.next();
            pid_b = co_await b.next();
            n = co_await c.next();
            REQUIRE(pid_a);
            REQUIRE(pid_a == pid_b);
            REQUIRE(n == i);
        }
        CHECK(pid_a == co_await pool.apply(own_pid));
        CHECK(board[0] <= 5);
    });
}

TEST_CASE("no task waits behind a generator while there is another worker")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{2};
        auto waits = pool.apply(on_demand, board.path(), 2);
        ++board[1];
        auto first = co_await waits.next();
        CHECK(first == 1);
        auto all = co_await pool.map(own_pid_of, up_to(2000));
        CHECK(std::ranges::count(all, all[0]) == 2000);
        ++board[1];
        auto second = co_await waits.next();
        CHECK(second == 2);
    });
}

TEST_CASE("generators whose items nobody reads don't stop what runs beside them in their worker")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{{.workers = 1, .concurrency = 8}};
        auto beside = pool.submit(ticks, board.path());
        auto begun = reached(board, 5, 1);
        co_await std::move(begun);
        std::vector<coproc::stream<std::string>> streams;
        for (int i = 0; i < 6; ++i)
            streams.push_back(pool.apply({.in_flight = 1000}, texts, board.path(), std::size_t{10'000}));
        CHECK(board.reaches(0, 10)); // from here on the loop rests, and the ring is full soon
        for (int i = 0; i < 3; ++i)
            CHECK(board.reaches(5, board[5] + 20));
        ++board[6];
        CHECK(co_await beside.get() > 60);
        for (int i = 0; i < 1500; ++i)
            for (auto& s : streams) {
                auto item = co_await s.next();
                REQUIRE(item->size() == 10'000);
            }
    });
}

TEST_CASE("closing a pool waits for its open streams")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        auto items = pool.apply({.in_flight = 10}, numbers, 1000);
        auto first = co_await items.next();
        CHECK(first == 0);
        using asio::experimental::awaitable_operators::operator&&;
        auto both = read_all(std::move(items)) && pool.close();
        auto rest = co_await std::move(both);
        CHECK(rest.items.size() == 999);
        CHECK_FALSE(rest.error);
    });
}

TEST_CASE("a pool that is destroyed ends its open streams after the items that have come")
{
    in_loop([]() -> coproc::task<> {
        board board;
        std::optional<coproc::pool> pool{1};
        auto items = pool->apply({.in_flight = 10}, endless, board.path());
        auto first = co_await items.next();
        CHECK(first == 1u);
        pool.reset();
        auto rest = co_await read_all(std::move(items));
        CHECK(rest.items.size() <= 15);
        CHECK(is<coproc::cancelled_error>(rest.error, "destroyed"));
    });
}

TEST_CASE("limits of time hold for a generator, and what it had made is not lost")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{1};
        ++board[1];
        ++board[1];
        coproc::call_options limited{.timeout = 300ms};
        if (GENERATE(false, true))
            limited = {.deadline = 300ms};
        auto all = co_await read_all(pool.apply(limited, on_demand, board.path(), 5));
        CHECK(all.items == std::vector{1, 2});
        CHECK(is<coproc::timeout_error>(all.error));
        CHECK(co_await pool.apply(twice, 2) == 4);
    });
}

TEST_CASE("a generator can't be tried again")
{
    in_loop([]() -> coproc::task<> {
        auto pool = either_pool(GENERATE(false, true));
        CHECK_THROWS_AS(pool.apply({.retries = 1}, numbers, 3), coproc::usage_error);
        CHECK(co_await pool.apply(twice, 2) == 4);
    });
}

TEST_CASE("a stage reads a stream from a task as any other")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        auto all = co_await read_all(pool.imap(twice, pool.apply(numbers, 5000)));
        REQUIRE(all.items.size() == 5000);
        CHECK(all.items[4999] == 9998);
    });
}

TEST_CASE("an inline generator is never ahead, is cancelled where it waits, and ends with its stream")
{
    in_loop([]() -> coproc::task<> {
        board board, waits;
        coproc::pool pool{coproc::inline_workers};
        {
            auto items = pool.apply(endless, board.path());
            for (std::uint32_t i = 1; i <= 10; ++i) {
                auto item = co_await items.next();
                CHECK(item == i);
                CHECK(board[0] == i);
            }
            CHECK(board[3] == 0);
        }
        CHECK(board[3] == 1);
        auto items = pool.apply(on_demand, waits.path(), 5);
        asio::steady_timer timer{co_await asio::this_coro::executor, 5ms};
        auto race = items.next() || timer.async_wait(asio::use_awaitable);
        auto winner = co_await std::move(race);
        CHECK(winner.index() == 1);
        auto after = co_await items.next();
        CHECK_FALSE(after);
    });
}

TEST_CASE("a worker may make a window of items, and 32 MiB and one item; more is refused")
{
    coproc::detail::item_account account;
    account.window = 4;
    CHECK(account.allow_more());
    for (int i = 0; i < 4; ++i)
        account.add(1);
    CHECK_THROWS_AS(account.add(1), coproc::protocol_error);
    CHECK_FALSE(account.allow_more());
    account.take(1);
    CHECK_FALSE(account.allow_more()); // half a window at a time
    account.take(1);
    CHECK(account.allow_more());
    account.add(std::size_t{1} << 30);
    CHECK_THROWS_AS(account.add(1), coproc::protocol_error);
    account.take(1);
    account.take(1);
    CHECK(account.allow_more());
    CHECK_THROWS_AS(account.add(1), coproc::protocol_error);
    account.take(std::size_t{1} << 30);
    CHECK(account.allow_more());
    account.add(1);
}
