// What several threads of one process do with files that they share.
#include "wire/sent_file.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <thread>
#include <vector>

using namespace coproc::detail;
using namespace wire_test;

TEST_CASE("threads that send, load and drop one file see one file", "[threads]")
{
    auto file = some_file();
    auto message = sent(file);
    file.reset();
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 200; ++i) {
                arrived copy = message;
                auto in = copy.archive();
                auto mine = load_file(in, page);
                wrong += mine->size() != page || loaded(sent(mine)) != mine;
            }
        });
    for (auto& thread : threads)
        thread.join();
    CHECK(wrong == 0);
    CHECK(mappings() == 0);
}
