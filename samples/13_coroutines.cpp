// Many tasks that mostly wait, in few processes: each worker runs up to `concurrency` coroutines on one event loop.
#include <coproc/coproc.hpp>

#include <asio.hpp>
#include <chrono>
#include <iostream>
#include <numeric>
#include <ranges>

using namespace std::chrono_literals;

coproc::task<int> fetch(int n) // stands for a request to a server that answers after a while
{
    asio::steady_timer answer{co_await asio::this_coro::executor, 100ms};
    co_await answer.async_wait(asio::use_awaitable);
    co_return n;
}

coproc::task<> async_main()
{
    coproc::pool pool{{.workers = 2, .concurrency = 100}};
    auto begin = std::chrono::steady_clock::now();

    auto answers = co_await pool.map(fetch, std::views::iota(0, 200)); // 20 seconds, one after the other

    auto time = std::chrono::steady_clock::now() - begin;
    std::cout << answers.size() << " answers, sum " << std::accumulate(answers.begin(), answers.end(), 0) << '\n';
    std::cout << "within 5 seconds: " << (time < 5s ? "yes" : "no") << '\n';
}

int main(int argc, char** argv) { return coproc::run(argc, argv, async_main); }

// Expected output:
// 200 answers, sum 19900
// within 5 seconds: yes
