// map and starmap: order, inputs of all kinds, failures, cancellation.
#include "pool/board.hpp"
#include "pool/tasks.hpp"
#include "support/proc.hpp"

#include <asio/experimental/awaitable_operators.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <numeric>
#include <ranges>
#include <sstream>
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
/// The elements 3 and 7 fail, the first one only after the second one.
int fail_in_turn(const std::string& path, int n)
{
    if (n == 3) {
        wait_for(path, 7, 1);
        throw std::out_of_range{"element 3"};
    }
    if (n == 7) {
        note(path, 7);
        throw std::out_of_range{"element 7"};
    }
    return n;
}
bool is_even(int n) { return n % 2 == 0; }
int to_int(bool b) { return b ? 1 : 0; }
std::string join(const std::string& a, int b, char c) { return a + std::to_string(b) + c; }
int size_of(const std::unique_ptr<std::string>& text) { return static_cast<int>(text->size()); }
coproc::task<int> coroutine(int n) { co_return n + 1; }
void count_at(const std::string& path, int index) { note(path, static_cast<std::size_t>(index)); }
int hold_first(const std::string& path, int n)
{
    note(path, 5);
    return n == 0 ? hold(path, n) : n;
}
std::string repeated(std::size_t size, int n) { return std::string(size, static_cast<char>('a' + n % 26)); }

std::vector<int> numbers(int count)
{
    std::vector<int> result(static_cast<std::size_t>(count));
    std::iota(result.begin(), result.end(), 0);
    return result;
}

template <class... N>
std::vector<int> ints(N... n) // no braces may stand in an expression with co_await
{
    return {n...};
}

std::vector<int> doubled(std::vector<int> all)
{
    for (int& n : all)
        n *= 2;
    return all;
}

/// An input that can be read once, of unknown length, and that throws at `bad`.
class one_pass {
public:
    explicit one_pass(int count, int bad = -1) : count_{count}, bad_{bad} {}

    struct iterator {
        using value_type = int;
        using difference_type = std::ptrdiff_t;
        one_pass* of = nullptr;
        int operator*() const
        {
            if (of->at_ == of->bad_)
                throw std::domain_error{"input " + std::to_string(of->at_)};
            return of->at_;
        }
        iterator& operator++()
        {
            ++of->at_;
            return *this;
        }
        void operator++(int) { ++*this; }
        bool operator==(std::default_sentinel_t) const { return of->at_ == of->count_; }
    };
    iterator begin() { return {this}; }
    std::default_sentinel_t end() { return {}; }
    [[nodiscard]] int read() const { return at_; }

private:
    int count_, bad_, at_ = 0;
};
static_assert(std::ranges::input_range<one_pass> && !std::ranges::forward_range<one_pass>);

} // namespace

TEST_CASE("results keep the order of the inputs, whatever the size of the chunks", "[POOL-002]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        auto inputs = numbers(1000);
        for (std::size_t chunk : {0u, 1u, 7u, 1000u, 5000u}) {
            auto results = co_await pool.map(twice, inputs, {.chunk_size = chunk});
            CHECK(results == doubled(inputs));
        }
    });
}

TEST_CASE("no inputs are no results, at once")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        CHECK((co_await pool.map(twice, ints())).empty());
        one_pass none{0};
        CHECK((co_await pool.map(twice, none)).empty());
        std::vector<std::tuple<int, int>> pairs;
        CHECK((co_await pool.starmap(add, pairs)).empty());
    });
}

TEST_CASE("a map of 100,000 is right")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        auto inputs = numbers(100'000);
        auto results = co_await pool.map(twice, inputs);
        CHECK(results == doubled(inputs));
    });
}

TEST_CASE("starmap spreads tuples, pairs and arrays over the parameters", "[POOL-003]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        std::vector<std::tuple<std::string, int, char>> inputs;
        for (int i = 0; i < 100; ++i)
            inputs.emplace_back("x", i, 'y');
        auto results = co_await pool.starmap(join, inputs);
        REQUIRE(results.size() == 100);
        for (int i = 0; i < 100; ++i)
            CHECK(results[static_cast<std::size_t>(i)] == join("x", i, 'y'));
        std::map<int, int> pairs{{1, 2}, {3, 4}};
        CHECK(co_await pool.starmap(add, pairs) == ints(3, 7));
        std::vector<std::array<int, 2>> arrays{{1, 2}, {5, 6}};
        CHECK(co_await pool.starmap(add, arrays) == ints(3, 11));
    });
}

TEST_CASE("an input that can be read only once, of unknown length, is read once")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        one_pass input{1234};
        CHECK(co_await pool.map(twice, input) == doubled(numbers(1234)));
        CHECK(input.read() == 1234);
        std::istringstream text{"1 2 3 4"};
        CHECK(co_await pool.map(twice, std::views::istream<int>(text)) == ints(2, 4, 6, 8));
        one_pass in_chunks{50};
        CHECK(co_await pool.map(twice, in_chunks, {.chunk_size = 25}) == doubled(numbers(50)));
    });
}

TEST_CASE("an input of unknown length is read no further ahead than the workers need")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{1};
        auto endless = std::views::iota(0) | std::views::take_while([](int n) { return n < 1'000'000'000; });
        using namespace asio::experimental::awaitable_operators;
        asio::steady_timer timer{co_await asio::this_coro::executor, 20ms};
        auto either = pool.map(coproc::bind_front(hold, board.path()), endless) || timer.async_wait(asio::use_awaitable);
        CHECK((co_await std::move(either)).index() == 1);
        board[1] = 1;
        co_await pool.close();
        CHECK(board[2] <= 2);
    });
}

TEST_CASE("lists, views, temporaries and vectors of bool are inputs")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        std::list<int> list{1, 2, 3};
        CHECK(co_await pool.map(twice, list) == ints(2, 4, 6));
        CHECK(co_await pool.map(twice, std::deque<int>(3, 4)) == ints(8, 8, 8));
        CHECK(co_await pool.map(twice, std::views::iota(0, 500)) == doubled(numbers(500)));
        auto odd = std::views::iota(0, 9) | std::views::filter([](int n) { return n % 2 == 1; });
        CHECK(co_await pool.map(twice, odd) == ints(2, 6, 10, 14));
        std::vector<bool> bits{true, false, true};
        CHECK(co_await pool.map(to_int, bits) == ints(1, 0, 1));
    });
}

TEST_CASE("results of type bool are a vector of bool")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        std::vector<bool> results = co_await pool.map(is_even, numbers(1001));
        REQUIRE(results.size() == 1001);
        for (std::size_t i = 0; i < results.size(); ++i)
            REQUIRE(results[i] == (i % 2 == 0));
    });
}

TEST_CASE("elements that can only be moved are sent")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        std::vector<std::unique_ptr<std::string>> inputs;
        for (std::size_t i = 0; i < 10; ++i)
            inputs.push_back(std::make_unique<std::string>(i, 'x'));
        CHECK(co_await pool.map(size_of, inputs) == numbers(10));
        CHECK(inputs[3] != nullptr);
        CHECK(co_await pool.map(size_of, std::move(inputs)) == numbers(10));
    });
}

TEST_CASE("a function that returns nothing is called once for each element")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{2};
        co_await pool.map(coproc::bind_front(count_at, board.path()), std::views::iota(0, 3000));
        int wrong = 0;
        for (std::size_t i = 0; i < 3000; ++i)
            wrong += board[i] != 1;
        CHECK(wrong == 0);
    });
}

TEST_CASE("a coroutine is mapped too")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        auto results = co_await pool.map(coroutine, std::views::iota(0, 300));
        REQUIRE(results.size() == 300);
        for (int i = 0; i < 300; ++i)
            REQUIRE(results[static_cast<std::size_t>(i)] == i + 1);
    });
}

TEST_CASE("elements and results of any size arrive in chunks of any size")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        for (std::size_t size : {100u, 10'000u, 70'000u})
            for (std::size_t chunk : {0u, 1u, 5u}) {
                auto results = co_await pool.map(coproc::bind_front(repeated, size), numbers(50), {.chunk_size = chunk});
                REQUIRE(results.size() == 50);
                for (int i = 0; i < 50; ++i)
                    REQUIRE(results[static_cast<std::size_t>(i)] == repeated(size, i));
            }
    });
}

TEST_CASE("an element that throws ends the map with its error and its index")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        for (std::size_t chunk : {0u, 1u, 10u, 1000u}) {
            try {
                co_await pool.map(coproc::bind_front(fail_on, 57), numbers(1000), {.chunk_size = chunk});
                FAIL("no error");
            } catch (const std::out_of_range& e) {
                CHECK(std::string{e.what()} == "element 57");
                CHECK(dynamic_cast<const coproc::remote_error&>(e).index() == 57);
            }
        }
        CHECK(co_await pool.apply(twice, 1) == 2);
    });
}

TEST_CASE("of several elements that throw the first one counts, whichever threw first")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{10};
        auto e = co_await failure_of(pool.map(coproc::bind_front(fail_in_turn, board.path()), numbers(10), {.chunk_size = 1}));
        CHECK(is<std::out_of_range>(e, "element 3"));
    });
}

TEST_CASE("an input that throws at element k ends the map with its error, and the pool goes on", "[POOL-007]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        for (int bad : {0, 1, 13, 500})
            for (std::size_t chunk : {0u, 1u, 10u}) {
                one_pass input{1000, bad};
                auto e = co_await failure_of(pool.map(twice, input, {.chunk_size = chunk}));
                CHECK(is<std::domain_error>(e, "input " + std::to_string(bad)));
                CHECK(co_await pool.apply(twice, bad) == 2 * bad);
            }
    });
}

TEST_CASE("a map that lost a race is cancelled: what had not begun does not run, and the pool goes on", "[POOL-042]")
{
    in_loop([]() -> coproc::task<> {
        using namespace asio::experimental::awaitable_operators;
        board board;
        coproc::pool pool{2};
        auto either = pool.map(coproc::bind_front(hold, board.path()), numbers(1000)) || reached(board, 0, 2);
        auto first = co_await std::move(either);
        CHECK(first.index() == 1);
        board[1] = 1;
        CHECK(co_await pool.map(twice, numbers(1000)) == doubled(numbers(1000)));
        co_await pool.close();
        CHECK(board[0] == 2);
    });
}

TEST_CASE("short elements behind a long one are given to others")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{2};
        auto executor = co_await asio::this_coro::executor;
        bool done = false;
        asio::co_spawn(
            executor,
            [](coproc::pool& p, std::string path, bool& ended) -> coproc::task<> {
                auto results = co_await p.map(coproc::bind_front(hold_first, path), numbers(200));
                CHECK(results == numbers(200));
                ended = true;
            }(pool, board.path(), done),
            [](std::exception_ptr) {});
        // All but the first, and those that share its chunk, end while it holds. Its chunk has one element.
        while (board[5] < 200)
            co_await asio::steady_timer{executor, 1ms}.async_wait(asio::use_awaitable);
        CHECK_FALSE(done);
        board[1] = 1;
        while (!done)
            co_await asio::steady_timer{executor, 1ms}.async_wait(asio::use_awaitable);
    });
}

TEST_CASE("several maps share a pool, each with its own results")
{
    in_loop([]() -> coproc::task<> {
        using namespace asio::experimental::awaitable_operators;
        coproc::pool pool{2};
        auto both = pool.map(twice, numbers(5000)) && pool.map(is_even, numbers(5000)) && pool.map(coroutine, numbers(500));
        auto [a, b, c] = co_await std::move(both);
        CHECK(a == doubled(numbers(5000)));
        CHECK(b.size() == 5000);
        CHECK(c.size() == 500);
    });
}

TEST_CASE("two pools work side by side")
{
    in_loop([]() -> coproc::task<> {
        using namespace asio::experimental::awaitable_operators;
        coproc::pool one{1}, other{2};
        auto both = one.map(own_pid_of, numbers(50)) && other.map(own_pid_of, numbers(50));
        auto [a, b] = co_await std::move(both);
        for (int pid : a)
            CHECK(std::ranges::count(b, pid) == 0);
    });
}

TEST_CASE("a pool of 60 workers maps 1000 elements one by one", "[POOL-061]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{support::descriptor_limit() < 700 ? 16 : 60};
        auto results = co_await pool.map(twice, numbers(1000), {.chunk_size = 1});
        CHECK(std::accumulate(results.begin(), results.end(), 0) == 999 * 1000);
        co_await pool.close();
    });
}
