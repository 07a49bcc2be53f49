// A task may be a coroutine itself: it runs on an event loop of its worker. A plain function waits with sync_wait.
#include <coproc/coproc.hpp>

#include <asio.hpp>
#include <iostream>
#include <ranges>

using namespace std::chrono_literals;

coproc::task<int> slow_square(int n)
{
    asio::steady_timer pause{co_await asio::this_coro::executor, 1ms}; // a socket, a file, whatever Asio awaits
    co_await pause.async_wait(asio::use_awaitable);
    co_return n * n;
}

// No coroutine: it runs an event loop of its own until the result is there.
int sum_of_squares(int n)
{
    int sum = 0;
    for (int i = 1; i <= n; ++i)
        sum += coproc::sync_wait(slow_square(i));
    return sum;
}

coproc::task<> async_main()
{
    coproc::pool pool{2};
    for (int square : co_await pool.map(slow_square, std::views::iota(1, 5)))
        std::cout << square << '\n';
    std::cout << "sum " << co_await pool.apply(sum_of_squares, 4) << '\n';
}

int main(int argc, char** argv) { return coproc::run(argc, argv, async_main); }

// Expected output:
// 1
// 4
// 9
// 16
// sum 30
