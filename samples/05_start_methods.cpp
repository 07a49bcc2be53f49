// Three ways to make a process, and what of the parent's memory each of them sees.
#include <coproc/coproc.hpp>

#include <iostream>

int number = 0;

int show() { return number; } // the exit code: what the new process finds

void load() { number = 1; } // stands for whatever takes long to load: a table, a model, a dictionary

coproc::task<> async_main()
{
    number = 2; // in this process only
    for (auto method : {coproc::start_method::forkserver, coproc::start_method::spawn, coproc::start_method::fork}) {
        coproc::context context{method};
        auto p = co_await context.start(show);
        std::cout << to_string(method) << ": " << (co_await p.join()).code() << '\n';
    }

    std::cout << "default: " << to_string(coproc::get_start_method()) << '\n';
    coproc::set_start_method(coproc::start_method::spawn, coproc::force::yes); // for the whole program, pools too
    std::cout << "now: " << to_string(coproc::get_start_method()) << '\n';
}

int main(int argc, char** argv)
{
    coproc::preload(load); // runs in the fork server, once; its processes share the memory
    return coproc::run(argc, argv, async_main);
}

// Expected output:
// forkserver: 1
// spawn: 0
// fork: 2
// default: forkserver
// now: spawn
