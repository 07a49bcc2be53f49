// What several threads of one process do with descriptors.
#include "os/descriptor.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <thread>
#include <vector>

#include <unistd.h>

using namespace coproc;

TEST_CASE("threads that make and close descriptors never close each other's", "[os][threads]")
{
    std::vector<std::thread> threads;
    std::atomic<int> wrong{0};
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 2000; ++i) {
                auto pipe = os::make_pipe();
                const auto copy = pipe.second.duplicate();
                pipe.second.reset();
                char byte = 'x';
                wrong += ::write(copy.get(), &byte, 1) != 1 || ::read(pipe.first.get(), &byte, 1) != 1;
            }
        });
    for (auto& thread : threads)
        thread.join();
    CHECK(wrong == 0);
}
