// A program that starts processes before its main has come to coproc::run, in each of its executions.
#include <coproc/coproc.hpp>

#include <cstdio>
#include <string>

using namespace coproc;

namespace {

std::string attempt()
{
    try {
        sync_wait(process::start([] {}));
        return "started";
    } catch (const usage_error& e) {
        return e.what();
    }
}

const std::string from_a_static_object = attempt();

} // namespace

int main(int argc, char** argv)
{
    const std::string from_main = attempt();
    return run(argc, argv, [&]() -> task<int> {
        std::printf("%s\n%s\n", from_a_static_object.c_str(), from_main.c_str());
        process p = co_await process::start([] { return 12; });
        const auto end = co_await p.join();
        co_return end.code();
    });
}
