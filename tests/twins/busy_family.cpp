// A family of processes that compute without end, with all signals blocked: for tests that kill its first member. Each
// member's pid is a line on standard output.
#include "process/fork_server.hpp"

#include <coproc/coproc.hpp>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

#include <unistd.h>

using namespace coproc;

namespace {

void say(const std::string& line)
{
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
}

void compute_without_end()
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, nullptr);
    say("process " + std::to_string(::getpid()));
    for (std::atomic<unsigned> n{0};;)
        ++n;
}

process_options by(start_method method)
{
    process_options options;
    options.method = method;
    return options;
}

constexpr start_method methods[] = {start_method::forkserver, start_method::spawn, start_method::fork};

// A process that has processes by each method, and then computes.
task<> parent_of_more()
{
    std::vector<process> children;
    for (auto method : methods)
        children.push_back(co_await process::start(by(method), compute_without_end));
    say("process " + std::to_string(detail::this_fork_server().pid()));
    compute_without_end();
}

task<> family()
{
    std::vector<process> children;
    for (auto method : methods) {
        children.push_back(co_await process::start(by(method), compute_without_end));
        children.push_back(co_await process::start(by(method), parent_of_more));
    }
    say("process " + std::to_string(detail::this_fork_server().pid()));
    static_cast<void>(co_await children[0].join());
}

} // namespace

int main(int argc, char** argv) { return run(argc, argv, family); }
