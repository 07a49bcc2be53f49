// A program that starts processes after its own file was deleted or replaced: argument "deleted" or "replaced", or "moved".
#include <coproc/coproc.hpp>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

using namespace coproc;

namespace {

task<int> start_all(std::vector<std::string> arguments)
{
    const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe");
    if (arguments.at(1) == "deleted")
        std::filesystem::remove(self);
    else if (arguments.at(1) == "moved")
        std::filesystem::rename(self, self.string() + ".moved");
    else {
        std::filesystem::remove(self);
        std::ofstream{self} << "#!/bin/sh\nexit 99\n";
        std::filesystem::permissions(self, std::filesystem::perms::all);
    }
    for (auto method : {start_method::forkserver, start_method::spawn, start_method::fork}) {
        process_options options;
        options.method = method;
        process p = co_await process::start(options, []() -> task<int> { // and its own children
            process_options inner;
            inner.method = start_method::spawn;
            process child = co_await process::start(inner, [] { return 20; });
            const auto end = co_await child.join();
            co_return end.code() + 1;
        });
        const auto end = co_await p.join();
        std::printf("%d\n", end.code());
    }
    co_return 0;
}

} // namespace

int main(int argc, char** argv) { return run(argc, argv, start_all); }
