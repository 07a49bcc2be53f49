// A pool without workers does with failures what one with workers does.
#include "pool/stoppable.hpp"

#include <coproc/bind_front.hpp>

using namespace pool_test;
using namespace std::chrono_literals;
using coproc::collect;
using coproc::finish_all;

namespace {

int even_only(const std::string& path, int n)
{
    note(path, 100 + static_cast<std::size_t>(n));
    if (n % 2 != 0)
        throw std::invalid_argument{"odd: " + std::to_string(n)};
    return n;
}
coproc::task<int> third_time_later(const std::string path, int n)
{
    asio::steady_timer timer{co_await asio::this_coro::executor, 1ms};
    co_await timer.async_wait(asio::use_awaitable);
    if (note(path, 100 + static_cast<std::size_t>(n)) < 3)
        throw std::runtime_error{"not yet"};
    co_return n;
}
bool refuses(const std::exception_ptr&) { return false; }

} // namespace

TEST_CASE("in line a task that fails is tried again until it goes well, or to its last try")
{
    in_loop([]() -> coproc::task<> {
        board board, other;
        coproc::pool pool{coproc::inline_workers};
        CHECK(co_await pool.apply({.retries = 3, .backoff = 1ms}, goes_well_at, board.path(), fault::exception, 3u) == 3);
        auto e = co_await failure_of(pool.apply({.retries = 3}, goes_well_at, other.path(), fault::exception, 9u));
        CHECK(is<std::runtime_error>(e, "try 4"));
        CHECK(is<std::runtime_error>(co_await failure_of(pool.apply({.retries = 3, .retry_if = refuses}, goes_well_at, other.path(), fault::exception, 9u)), "try 5"));
    });
}

TEST_CASE("in line a coroutine is tried again, each element of a map for itself")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{coproc::inline_workers};
        auto all = co_await pool.map(coproc::bind_front(third_time_later, board.path()), up_to(5), {.retries = 2, .backoff = 1ms});
        CHECK(all == up_to(5));
    });
}

TEST_CASE("in line a map that finishes all runs each element and throws the first failure; else it ends there")
{
    in_loop([]() -> coproc::task<> {
        board board, other;
        coproc::pool pool{coproc::inline_workers};
        auto e = co_await failure_of(pool.map(coproc::bind_front(even_only, board.path()), up_to(10), {.on_error = finish_all}));
        CHECK(is<std::invalid_argument>(e, "odd: 1"));
        CHECK(board[109] == 1);
        CHECK(is<std::invalid_argument>(co_await failure_of(pool.map(coproc::bind_front(even_only, other.path()), up_to(10))), "odd: 1"));
        CHECK(other[102] == 0);
    });
}

TEST_CASE("in line a map collects results and errors")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{coproc::inline_workers};
        auto all = co_await pool.map(coproc::bind_front(even_only, board.path()), up_to(10), {.retries = 1, .on_error = collect});
        REQUIRE(all.size() == 10);
        for (std::size_t i = 0; i < 10; ++i) {
            CHECK(all[i].has_value() == (i % 2 == 0));
            CHECK(board[100 + i] == (i % 2 == 0 ? 1 : 2));
        }
        try {
            all[9].value();
        } catch (const coproc::remote_error& e) {
            CHECK(e.index() == 9);
        } catch (...) {
        }
    });
}
