// A program whose main ends in the way that its first argument says.
#include <coproc/coproc.hpp>

#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include <unistd.h>

using namespace coproc;

std::vector<process>* forgotten;

namespace {

void wait_for_the_end()
{
    for (;;)
        ::pause();
}

void say(const std::string& line)
{
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
}

task<> wait_for_ever()
{
    asio::steady_timer timer{co_await asio::this_coro::executor, asio::steady_timer::time_point::max()};
    co_await timer.async_wait(asio::use_awaitable);
}

// Waits, whatever is cancelled, and says when the first interruption has come: the second one has its default action then.
task<> wait_stubbornly()
{
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    for (bool said = false;;) {
        asio::steady_timer timer{co_await asio::this_coro::executor, std::chrono::milliseconds{5}};
        co_await timer.async_wait(asio::use_awaitable);
        struct sigaction now{};
        ::sigaction(SIGINT, nullptr, &now);
        if (now.sa_handler == SIG_DFL && !said) {
            say("interrupted once");
            said = true;
        }
    }
}

// One process by each method, and one below a process: all of them are said, none of them ends by itself.
task<> start_a_family(std::vector<process>& all)
{
    for (auto method : {start_method::forkserver, start_method::spawn, start_method::fork}) {
        process_options options;
        options.method = method;
        all.push_back(co_await process::start(options, wait_for_the_end));
        say("process " + std::to_string(all.back().pid()));
        options.standard_output = pipe_stream;
        all.push_back(co_await process::start(options, []() -> task<> {
            process child = co_await process::start(wait_for_the_end);
            say(std::to_string(child.pid()));
            static_cast<void>(co_await child.join());
        }));
        say("process " + std::to_string(all.back().pid()));
        auto line = co_await all.back().read_output();
        say("process " + std::to_string(std::atoi(line->c_str())));
    }
}

task<int> outcome_of(std::vector<std::string> arguments)
{
    const std::string how = arguments.at(1);
    if (how == "seven")
        co_return 7;
    if (how == "late-signal") {
        std::raise(SIGTERM);
        co_return 7;
    }
    if (how == "arguments") {
        for (auto& argument : arguments)
            say(argument);
        co_return 0;
    }
    if (how == "throws")
        throw std::runtime_error{"out of luck"};
    if (how == "throws-int")
        throw 42;
    if (how == "exits")
        std::exit(9);
    std::vector<process> family;
    co_await start_a_family(family);
    say("ready");
    if (how == "waits")
        co_await wait_for_ever();
    else if (how == "joins")
        static_cast<void>(co_await family.at(0).join());
    else if (how == "blocks")
        wait_for_the_end();
    else if (how == "stubborn")
        co_await wait_stubbornly();
    else if (how == "exits-with-family")
        std::exit(255);
    else if (how == "leaves-with-family")
        ::_exit(255);
    else if (how == "forgets-family") {
        // The handles outlive the loop: what is left is stopped after main.
        forgotten = new std::vector<process>{std::move(family)};
    } else if (how == "catches") {
        bool cancelled = false;
        try {
            co_await wait_for_ever();
        } catch (const std::system_error&) {
            cancelled = true;
        }
        say(cancelled ? "cancelled" : "not cancelled");
        co_return 5;
    }
    co_return 0;
}

task<> nothing() { co_return; }

} // namespace

int main(int argc, char** argv)
{
    if (argc > 1 && std::string{argv[1]} == "nothing")
        return run(argc, argv, nothing);
    if (argc > 1 && std::string{argv[1]} == "own-handler") {
        std::signal(SIGTERM, [](int) { ::_exit(44); });
        argv[1] = const_cast<char*>("waits");
    }
    return run(argc, argv, outcome_of);
}
