// A call that is not waited for any more: its task is asked to stop, and one that doesn't listen is stopped.
#include <coproc/coproc.hpp>

#include <asio.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <iostream>
#include <string>
#include <thread>
#include <utility>

using namespace std::chrono_literals;
using namespace asio::experimental::awaitable_operators;

std::string last_search = "there was none"; // one for each worker
long search()
{
    for (long n = 1;; ++n) // looks for what it never finds
        if (coproc::this_task::stop_requested()) {
            last_search = "it was asked to stop";
            return n; // to nobody
        }
}
std::string ask() { return last_search; }

void deaf() { std::this_thread::sleep_for(1h); }

coproc::task<> async_main()
{
    coproc::pool pool{{.workers = 1, .grace = 1s}};
    std::cout << "last search: " << co_await pool.apply(ask) << '\n';

    asio::steady_timer timer{co_await asio::this_coro::executor, 200ms};
    auto race = pool.apply(search) || timer.async_wait(asio::use_awaitable); // what is not first is cancelled
    auto first = co_await std::move(race);
    std::cout << "search: " << (first.index() == 0 ? "done" : "out of time") << '\n';
    std::cout << "last search: " << co_await pool.apply(ask) << '\n'; // asks the same worker, which lives

    auto nap = pool.submit(deaf);
    bool ended = co_await nap.wait_for(200ms);
    std::cout << "deaf: " << (ended ? "ended" : "still runs") << '\n';
    nap.cancel();
    std::cout << "last search: " << co_await pool.apply(ask) << '\n'; // asks a new worker, after a second of grace
}

int main(int argc, char** argv) { return coproc::run(argc, argv, async_main); }

// Expected output:
// last search: there was none
// search: out of time
// last search: it was asked to stop
// deaf: still runs
// last search: there was none
