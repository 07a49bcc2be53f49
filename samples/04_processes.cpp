// The life of a process: its name and id, a limited wait, stopping it, how it ended, what it printed.
#include <coproc/coproc.hpp>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <thread>

using namespace std::chrono_literals;

int give(int code) { return code; } // the result of a function that returns int is its exit code
void fail() { throw std::runtime_error{"no luck"}; }
void crash() { std::abort(); }
void sleep_long() { std::this_thread::sleep_for(1h); }
void talk()
{
    std::cout << "I am " << coproc::this_process::name() << ", child of " << coproc::this_process::parent()->name;
}

coproc::task<> async_main()
{
    auto giver = co_await coproc::process::start(give, 7);
    std::cout << "give: exit code " << (co_await giver.join()).code() << '\n';

    // Options are written in braces; the exception's message goes to standard error, which leads nowhere here.
    auto failing = co_await coproc::process::start({.standard_error = coproc::null_stream}, fail);
    std::cout << "fail: exit code " << (co_await failing.join()).code() << '\n';

    auto crashing = co_await coproc::process::start(crash);
    std::cout << "crash: signal " << (co_await crashing.join()).signal() << '\n';

    auto sleeper = co_await coproc::process::start(sleep_long);
    auto status = co_await sleeper.join_for(10ms); // an optional: empty if the time was too short
    std::cout << "sleep_long: " << (status ? "ended" : "still runs") << ", children: "
              << coproc::active_children().size() << '\n';
    std::cout << "stopped by signal " << (co_await sleeper.stop()).signal() << '\n';

    auto talker = co_await coproc::process::start({.name = "talker", .standard_output = coproc::pipe_stream}, talk);
    while (auto text = co_await talker.read_output()) // until the end of the stream
        std::cout << "it says: " << *text << '\n';
    co_await talker.join();
}

int main(int argc, char** argv) { return coproc::run(argc, argv, async_main); }

// Expected output:
// give: exit code 7
// fail: exit code 1
// crash: signal 6
// sleep_long: still runs, children: 1
// stopped by signal 15
// it says: I am talker, child of main
