// One function in a process of its own, without a pool: what it does to its process harms nothing here.
#include <coproc/coproc.hpp>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

long sum(const std::vector<int>& numbers) // a library that leaks, say: its memory goes with the process
{
    long all = 0;
    for (int n : numbers)
        all += n;
    return all;
}
int crash() { std::abort(); }
void spin()
{
    volatile bool done = false;
    while (!done) {
    }
}
void sleep_long() { std::this_thread::sleep_for(1h); }

coproc::task<> async_main()
{
    const std::vector numbers{1, 2, 3};
    std::cout << "sum " << co_await coproc::call(sum, numbers) << '\n';

    try {
        co_await coproc::call(crash);
    } catch (const coproc::worker_crashed& e) {
        std::cout << "crash: " << (e.signal() == SIGABRT ? "aborted" : "?") << '\n';
    }
    try {
        co_await coproc::call({.cpu_limit = 1s}, spin); // there are limits of memory and open files, too
    } catch (const coproc::worker_crashed& e) {
        std::cout << "spin: " << (e.signal() == SIGXCPU ? "out of processor time" : "?") << '\n';
    }
    try {
        co_await coproc::call({.timeout = 50ms, .grace = 100ms}, sleep_long);
    } catch (const coproc::timeout_error&) {
        std::cout << "sleep_long: out of time\n";
    }
}

int main(int argc, char** argv) { return coproc::run(argc, argv, async_main); }

// Expected output:
// sum 6
// crash: aborted
// spin: out of processor time
// sleep_long: out of time
