// Has shared memory with names, says so in one line, and waits for the end of its input.
//   named_memory make NAME...      makes them; prints the pid of its watch
//   named_memory open NAME         prints what is in it
//   named_memory tree NAME         makes it, and starts a process that has a handle as well; prints its pid
//   named_memory worker NAME       starts a process that makes it, and waits for it; prints its pid
#include "shared/name_watch.hpp"

#include <coproc/process.hpp>
#include <coproc/run.hpp>
#include <coproc/shared_memory.hpp>

#include <cstdio>
#include <cstring>
#include <iostream>
#include <string>
#include <unistd.h>
#include <vector>

namespace {

constexpr std::size_t size = 4096;

void say(const std::string& line)
{
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
}

void wait_for_end_of_input()
{
    for (std::string line; std::getline(std::cin, line);) {}
}

void hold(coproc::shared_memory memory)
{
    for (;;)
        ::pause();
    static_cast<void>(memory);
}

void make_and_hold(std::string name)
{
    auto memory = coproc::shared_memory::create(name, size);
    hold(memory);
}

coproc::task<int> async_main(std::vector<std::string> arguments)
{
    auto name = arguments.at(2);
    if (arguments.at(1) == "tree") {
        auto memory = coproc::shared_memory::create(name, size);
        auto start = coproc::process::start(hold, memory);
        coproc::process child = co_await std::move(start);
        say(std::to_string(child.pid()));
        wait_for_end_of_input();
    } else {
        auto start = coproc::process::start(make_and_hold, name);
        coproc::process child = co_await std::move(start);
        say(std::to_string(child.pid()));
        co_await child.join();
        say("joined");
        wait_for_end_of_input();
    }
    co_return 0;
}

} // namespace

int main(int argc, char** argv)
{
    if (argc < 3)
        return 2;
    std::string what = argv[1];
    if (what == "tree" || what == "worker")
        return coproc::run(argc, argv, async_main);
    std::vector<coproc::shared_memory> all; // by a program that has called neither run nor init
    if (what == "make") {
        for (int i = 2; i < argc; ++i) {
            all.push_back(coproc::shared_memory::create(argv[i], size));
            std::strcpy(reinterpret_cast<char*>(all.back().data()), "hello");
        }
        say(std::to_string(coproc::detail::name_watch_pid()));
    } else {
        all.push_back(coproc::shared_memory::open(argv[2]));
        say(reinterpret_cast<const char*>(all.back().data()));
    }
    wait_for_end_of_input();
}
