// apply and submit: single calls and their results.
#include "pool/board.hpp"
#include "pool/stubborn.hpp"
#include "pool/tasks.hpp"
#include "support/counted.hpp"

#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <memory>
#include <numeric>
#include <set>
#include <stdexcept>

using namespace pool_test;
using namespace std::chrono_literals;
using support::counted;

namespace {

std::string greet(const std::string& whom, int times, bool loud) { return whom + std::to_string(times) + (loud ? "!" : "."); }
void nothing() {}
int throws(const std::string& text) { throw std::invalid_argument{text}; }
coproc::task<int> later(int n)
{
    asio::steady_timer timer{co_await asio::this_coro::executor, 1ms};
    co_await timer.async_wait(asio::use_awaitable);
    if (n < 0)
        throw std::domain_error{"negative"};
    co_return n + 1;
}

std::unique_ptr<std::string> longer(std::unique_ptr<std::string> text)
{
    *text += "!";
    return text;
}
std::vector<bool> flipped(std::vector<bool> bits)
{
    bits.flip();
    return bits;
}

struct meeting {
    std::string path;
    std::uint32_t guests = 0;
    int operator()() const
    {
        note(path, 0);
        wait_for(path, 0, guests);
        return ::getpid();
    }
    template <class Archive>
    void serialize(Archive& archive)
    {
        archive(path, guests);
    }
};

/// Counts in word 3 how often two were here together.
void alone(const std::string& path)
{
    if (note(path, 0) != 1)
        note(path, 3);
    ::usleep(2000);
    --words_in(path)[0];
    note(path, 1);
}


int alive_here(const counted&) { return counted::alive; }
counted pass_on(counted c) { return c; }

std::vector<double> doubled(std::vector<double> values)
{
    for (double& v : values)
        v *= 2;
    return values;
}

struct counter {
    int count = 0;
    int operator()(int n) { return count += n; }
    template <class Archive>
    void serialize(Archive& archive)
    {
        archive(count);
    }
};

} // namespace

TEST_CASE("apply gives what the function gives here", "[POOL-001][EXE-001]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        CHECK(co_await pool.apply(add, 1, 2) == 3);
        CHECK(co_await pool.apply(greet, "you", 2, true) == greet("you", 2, true));
        CHECK(co_await pool.apply([](int self) { return self; }, 5) == 5);
        CHECK(co_await pool.apply(own_pid) != ::getpid());
    });
}

TEST_CASE("a function that returns nothing can be awaited")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        co_await pool.apply(nothing);
        co_await pool.submit(nothing).get();
    });
}

TEST_CASE("a coroutine runs in a worker, and its result or error comes back", "[ASY-001][ASY-010]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        CHECK(co_await pool.apply(later, 1) == 2);
        auto e = co_await failure_of(pool.apply(later, -1));
        CHECK(is<std::domain_error>(e, "negative"));
    });
}

TEST_CASE("arguments that can only be moved are sent, and so are results")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        auto text = std::make_unique<std::string>("hello");
        auto longer_text = co_await pool.apply(longer, std::move(text));
        CHECK(*longer_text == "hello!");
    });
}

TEST_CASE("a vector of bool is sent both ways")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        std::vector<bool> bits{true, false, true, true};
        auto result = co_await pool.apply(flipped, bits);
        bits.flip();
        CHECK(result == bits);
    });
}

TEST_CASE("state that is passed on with a function is the worker's own copy", "[EXE-050]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        counter here{10};
        CHECK(co_await pool.apply(here, 1) == 11);
        CHECK(co_await pool.apply(here, 1) == 11);
        CHECK(here.count == 10);
        auto bound = coproc::bind_front(add, 5);
        CHECK(co_await pool.apply(bound, 6) == 11);
    });
}

TEST_CASE("when a call is done, neither side holds a copy of its argument or result", "[POOL-016][EXE-005]")
{
    counted::reset();
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        auto alive = co_await pool.apply(alive_here, counted{1});
        CHECK(alive == 1);
        CHECK(counted::alive == 0);
        for (int i = 0; i < 3; ++i) {
            auto back = co_await pool.apply(pass_on, counted{i});
            CHECK(back.id == i);
        }
        CHECK(counted::alive == 0);
        CHECK(co_await pool.apply(alive_here, counted{1}) == 1);
        static_cast<void>(pool.submit(pass_on, counted{2})); // dropped
        co_await pool.close();
        CHECK(counted::alive == 0);
    });
}

TEST_CASE("100 MB come back equal", "[EXE-038]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        std::vector<double> values(100'000'000 / sizeof(double));
        std::iota(values.begin(), values.end(), 0.);
        auto back = co_await pool.apply(doubled, values);
        REQUIRE(back.size() == values.size());
        std::size_t wrong = 0;
        for (std::size_t i = 0; i < back.size(); ++i)
            wrong += back[i] != 2 * values[i];
        CHECK(wrong == 0);
    });
}

TEST_CASE("messages of sizes around that of a frame come back equal")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        for (std::size_t size : {7000u, 7600u, 7650u, 7670u, 7680u, 7690u, 8000u, 16'000u, 130'000u}) {
            std::vector<double> values(size, 1.5);
            auto back = co_await pool.apply(doubled, values);
            CHECK(back == std::vector<double>(size, 3.));
        }
    });
}

TEST_CASE("10,000 calls are answered, each with its own result", "[EXE-046]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        std::vector<coproc::async_result<int>> results;
        for (int i = 0; i < 10'000; ++i)
            results.push_back(pool.submit(twice, i));
        int wrong = 0;
        for (int i = 0; i < 10'000; ++i)
            wrong += co_await results[static_cast<std::size_t>(i)].get() != 2 * i;
        CHECK(wrong == 0);
    });
}

TEST_CASE("small calls and large ones in parallel get their own answers", "[EXE-046]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        std::vector<coproc::async_result<int>> small;
        std::vector<coproc::async_result<std::vector<double>>> large;
        for (int i = 0; i < 500; ++i) {
            small.push_back(pool.submit(twice, i));
            if (i % 10 == 0)
                large.push_back(pool.submit(doubled, std::vector<double>(200'000, i)));
        }
        for (int i = 0; i < 500; ++i)
            REQUIRE(co_await small[static_cast<std::size_t>(i)].get() == 2 * i);
        for (std::size_t i = 0; i < large.size(); ++i)
            REQUIRE(co_await large[i].get() == std::vector<double>(200'000, 20. * static_cast<double>(i)));
    });
}

TEST_CASE("fifteen times as many tasks as workers run in no more processes than there are workers", "[EXE-007]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{3};
        std::vector<coproc::async_result<int>> results;
        for (int i = 0; i < 45; ++i)
            results.push_back(pool.submit(own_pid));
        std::set<int> pids;
        for (auto& result : results)
            pids.insert(co_await result.get());
        CHECK(pids.size() <= 3);
        CHECK(pool.size() == 3);
    });
}

TEST_CASE("as many tasks as workers run at the same time, even with more of them than processors", "[EXE-036]")
{
    in_loop([]() -> coproc::task<> {
        constexpr int guests = 12;
        board board;
        coproc::pool pool{guests};
        std::vector<coproc::async_result<int>> results;
        for (int i = 0; i < guests; ++i)
            results.push_back(pool.submit(meeting{board.path(), guests}));
        std::set<int> pids;
        for (auto& result : results)
            pids.insert(co_await result.get());
        CHECK(pids.size() == guests);
    });
}

TEST_CASE("a pool of one runs its tasks one after the other, in the order they came", "[POOL-057]")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{1};
        for (int i = 0; i < 4; ++i)
            pool.submit(alone, board.path());
        auto last = pool.submit(note, board.path(), 1);
        CHECK(co_await last.get() == 5);
        CHECK(board[3] == 0);
    });
}

TEST_CASE("hundreds of coroutines share a pool")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        auto executor = co_await asio::this_coro::executor;
        int sum = 0, left = 300;
        asio::steady_timer done{executor, asio::steady_timer::time_point::max()};
        for (int i = 0; i < 300; ++i)
            asio::co_spawn(
                executor,
                [](coproc::pool& p, int n, int& total) -> coproc::task<> {
                    total += co_await p.apply(twice, n);
                    total += co_await p.apply(twice, n);
                }(pool, i, sum),
                [&](std::exception_ptr e) {
                    CHECK_FALSE(e);
                    if (--left == 0)
                        done.cancel();
                });
        static_cast<void>(co_await failure_of(done.async_wait(asio::use_awaitable)));
        CHECK(sum == 4 * 299 * 300 / 2);
    });
}

TEST_CASE("without workers a task runs here, and by the way of bytes")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{coproc::inline_workers};
        CHECK(pool.size() == 0);
        CHECK(co_await pool.apply(own_pid) == ::getpid());
        CHECK(co_await pool.apply(later, 1) == 2);
        auto result = pool.submit(twice, 4);
        CHECK(result.ready());
        CHECK(co_await result.get() == 8);
        CHECK(is<std::logic_error>(co_await failure_of(pool.apply(make_stubborn, -1))));
        CHECK(is<std::invalid_argument>(co_await failure_of(pool.apply(throws, "no"))));
        auto all = co_await pool.map(twice, std::vector<int>(10, 3));
        CHECK(all == std::vector<int>(10, 6));
        co_await pool.close();
        CHECK_THROWS_AS(pool.submit(twice, 4), coproc::usage_error);
    });
}
