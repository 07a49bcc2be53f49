// A program that ends before it comes to coproc::run when it is not started by its user: its executions for coproc fail.
#include <coproc/coproc.hpp>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

using namespace coproc;

namespace {

task<int> start_by(std::vector<std::string> arguments)
{
    process_options options;
    options.method = parse_start_method(arguments.at(1));
    try {
        process p = co_await process::start(options, [] {});
        std::printf("started\n");
    } catch (const error& e) {
        std::printf("%s\n", e.what());
        co_return 0;
    }
    co_return 1;
}

} // namespace

int main(int argc, char** argv)
{
    if (std::getenv("COPROC_ROLE")) {
        if (argc > 2 && std::string{argv[2]} == "crashes")
            std::abort();
        return 3;
    }
    return run(argc, argv, start_by);
}
