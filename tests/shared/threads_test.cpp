// What several threads of one process do with what processes share.
#include "shared/containers.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <thread>
#include <vector>

using namespace shared_test;

TEST_CASE("threads share a segment as processes do", "[threads]")
{
    shared_segment segment{size};
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t)
        threads.emplace_back([&, t] { wrong += build_and_destroy(segment, 200, t); });
    for (auto& thread : threads)
        thread.join();
    CHECK(wrong == 0);
    CHECK(whole(segment));
}
