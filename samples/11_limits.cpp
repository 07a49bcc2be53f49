// What one call may cost, and what becomes of it when a task fails: time limits, retries, outcomes.
#include <coproc/coproc.hpp>

#include <chrono>
#include <iostream>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>

using namespace std::chrono_literals;

void sleep_long() { std::this_thread::sleep_for(1h); }

int tries = 0; // one for each worker
int flaky()
{
    if (++tries < 3)
        throw std::runtime_error{"no connection"};
    return tries;
}

int half(int n)
{
    if (n % 2 != 0)
        throw std::domain_error{std::to_string(n) + " is odd"};
    return n / 2;
}

coproc::task<> async_main()
{
    coproc::pool pool{{.workers = 1, .grace = 100ms}}; // a task that doesn't stop when asked gets SIGTERM after so long
    try {
        co_await pool.apply({.timeout = 50ms}, sleep_long);
    } catch (const coproc::timeout_error&) {
        std::cout << "sleep_long took too long\n";
    }

    int n = co_await pool.apply({.retries = 5, .backoff = 1ms}, flaky);
    std::cout << "flaky: success at try " << n << '\n';

    for (const auto& result : co_await pool.map(half, std::views::iota(1, 5), {.on_error = coproc::collect}))
        try {
            std::cout << result.value() << '\n'; // throws if the task threw
        } catch (const std::domain_error& e) {
            std::cout << e.what() << '\n';
        }
}

int main(int argc, char** argv) { return coproc::run(argc, argv, async_main); }

// Expected output:
// sleep_long took too long
// flaky: success at try 3
// 1 is odd
// 1
// 3 is odd
// 2
