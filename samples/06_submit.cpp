// Tasks that are submitted now and awaited later: async_result is to a pool what std::future is to a thread.
#include <coproc/coproc.hpp>

#include <chrono>
#include <iostream>
#include <string>
#include <thread>

using namespace std::chrono_literals;

std::string shout(std::string text)
{
    for (char& c : text)
        c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    return text;
}
void sleep_long() { std::this_thread::sleep_for(1h); }

coproc::task<> async_main()
{
    coproc::pool pool{2};
    auto loud = pool.submit(shout, "both run at once"); // starts while this goes on
    auto slow = pool.submit(sleep_long);

    std::cout << co_await loud.get() << '\n';
    bool done = co_await slow.wait_for(10ms); // named first: g++ 12 dislikes some co_await inside larger expressions
    std::cout << "slow is " << (done ? "done" : "not done") << '\n';

    slow.cancel(); // nobody waits for it any more
    try {
        co_await slow.get();
    } catch (const coproc::cancelled_error&) {
        std::cout << "slow was cancelled\n";
    }
} // the pool's destructor stops the worker that still sleeps; `co_await pool.close()` would wait for it

int main(int argc, char** argv) { return coproc::run(argc, argv, async_main); }

// Expected output:
// BOTH RUN AT ONCE
// slow is not done
// slow was cancelled
