// A program with preloads. Arguments: how many processes it starts; "throws" for a preload that fails.
#include <coproc/coproc.hpp>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include <unistd.h>

using namespace coproc;

namespace {

int loaded = 0;
int loaded_by = 0;

task<int> start_some(std::vector<std::string> arguments)
{
    std::string text;
    try {
        for (int left = std::atoi(arguments.at(1).c_str()); left > 0; --left) {
            process_options options;
            options.standard_output = pipe_stream;
            process p = co_await process::start(options, [] {
                std::printf("%d %d;", loaded, loaded_by == ::getppid() || loaded_by == ::getpid());
            });
            while (auto more = co_await p.read_output())
                text += *more;
            static_cast<void>(co_await p.join());
        }
    } catch (const error& e) {
        text = e.what();
    }
    std::printf("%s main %d\n", text.c_str(), loaded);
    co_return 0;
}

} // namespace

int main(int argc, char** argv)
{
    preload([] {
        ++loaded;
        loaded_by = ::getpid();
        std::printf("printed by preload ");
        std::cout << "streamed by preload ";
    });
    preload([] { loaded += 10; });
    if (argc > 2)
        preload([] { throw std::runtime_error{"preload failed"}; });
    return run(argc, argv, start_some);
}
