// A program that has an Asio event loop already: coproc::init instead of coproc::run, and a pool on its executor. The
// timer ticks while the workers are busy, all on this one thread.
#include <coproc/coproc.hpp>

#include <asio.hpp>
#include <exception>
#include <iostream>

using namespace std::chrono_literals;

int count_primes(int below)
{
    int count = 0;
    for (int n = 2; n < below; ++n) {
        int divisor = 2;
        while (divisor * divisor <= n && n % divisor != 0)
            ++divisor;
        count += divisor * divisor > n;
    }
    return count;
}

coproc::task<> tick(bool& ticked)
{
    asio::steady_timer timer{co_await asio::this_coro::executor, 1ms};
    co_await timer.async_wait(asio::use_awaitable);
    ticked = true;
}

coproc::task<> work(coproc::pool& pool, bool& ticked)
{
    int primes = co_await pool.apply(count_primes, 2'000'000);
    std::cout << primes << " primes; the timer ticked meanwhile: " << (ticked ? "yes" : "no") << '\n';
}

int main(int argc, char** argv)
{
    coproc::init(argc, argv); // first of all: a worker process never returns from here
    asio::io_context loop;
    coproc::pool pool{loop.get_executor(), {.workers = 2}};
    bool ticked = false;
    asio::co_spawn(loop, tick(ticked), asio::detached);
    asio::co_spawn(loop, work(pool, ticked), [](std::exception_ptr error) { // asio::detached would drop the exception
        if (error)
            std::rethrow_exception(error);
    });
    loop.run(); // returns when nothing is left to wait for
}

// Expected output:
// 148933 primes; the timer ticked meanwhile: yes
