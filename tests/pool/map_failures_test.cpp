// What becomes of a map when a task fails: it throws the first failure, finishes all, or collects.
#include "pool/stoppable.hpp"

#include <coproc/bind_front.hpp>

#include <asio/experimental/awaitable_operators.hpp>

#include <list>
#include <tuple>

using namespace pool_test;
using namespace std::chrono_literals;
using coproc::collect;
using coproc::finish_all;

namespace {

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

} // namespace

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
