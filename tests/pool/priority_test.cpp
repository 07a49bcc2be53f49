// Who goes first when workers are busy.
#include "pool/stoppable.hpp"

#include <coproc/bind_front.hpp>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>

using namespace pool_test;

namespace {

/// Writes `what` to the next word after 100; word 50 counts them.
void record(const std::string& path, std::uint32_t what) { words_in(path)[100 + note(path, 50) - 1] = what; }

std::vector<std::uint32_t> recorded(board& b)
{
    std::vector<std::uint32_t> result;
    for (std::size_t i = 0; i < b[50]; ++i)
        result.push_back(b[100 + i]);
    return result;
}

} // namespace

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
