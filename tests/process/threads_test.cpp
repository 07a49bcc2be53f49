// What several threads of one process do with processes.
#include "process/attempt.hpp"
#include "process/support.hpp"
#include "support/injection.hpp"

#include <coproc/error.hpp>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace coproc;
using namespace tests;
using support::injection;

TEST_CASE("threads start, join and kill processes side by side", "[threads]")
{
    const auto method = GENERATE(start_method::forkserver, start_method::spawn);
    INFO("start method " << to_string(method));
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&wrong, method, t] {
            await([&wrong, method, t]() -> task<> {
                for (int i = 0; i < 10; ++i) {
                    process p = co_await process::start(by(method), [](int n) { return n; }, 10 * t + i);
                    process q = co_await process::start(by(method), wait_for_the_end);
                    const auto end = co_await p.join();
                    wrong += end.code() != 10 * t + i;
                    q.terminate();
                    const auto end_q = co_await q.join();
                    wrong += end_q.signal() != SIGTERM;
                }
            });
        });
    for (auto& thread : threads)
        thread.join();
    CHECK(wrong == 0);
    CHECK(active_children().empty());
}

TEST_CASE("input may be closed by one thread while another one writes it", "[threads]")
{
    for (int i = 0; i < 40; ++i) {
        auto options = piped(start_method::forkserver);
        options.standard_input = pipe_stream;
        process p = sync_wait(process::start(options, [] {
            std::size_t count = 0;
            while (::getchar() != EOF)
                ++count;
            say(std::to_string(count));
        }));
        std::atomic<int> written{0};
        std::thread writer{[&] {
            try {
                for (;;)
                    written += sync_wait(p.write_input(std::string(1000, 'i'))) ? 1000 : 0;
            } catch (const usage_error&) { // it was closed
            }
        }};
        while (written < i * 1000)
            std::this_thread::yield();
        p.close_input();
        const auto line = await([&] { return line_of(p); });
        writer.join();
        CHECK(line == std::to_string(written));
    }
}

TEST_CASE("failing starts close nobody else's descriptors", "[LIM-002][threads]")
{
    const auto method = GENERATE(start_method::forkserver, start_method::spawn);
    INFO("start method " << to_string(method));
    std::atomic<bool> done{false};
    std::atomic<int> stolen{0}, opened{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t)
        threads.emplace_back([&] {
            while (!done) {
                const int number = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
                struct stat first{}, second{};
                stolen += ::fstat(number, &first) != 0;
                std::this_thread::yield();
                stolen += ::fstat(number, &second) != 0 || first.st_ino != second.st_ino;
                stolen += ::close(number) != 0;
                ++opened;
            }
        });
    int failures = 0;
    for (int i = 0; i < 60; ++i) {
        injection one{injection::fails_at(i % 30, EMFILE)};
        failures += await([=] { return try_one(method); }) != 0;
    }
    done = true;
    for (auto& thread : threads)
        thread.join();
    CHECK(failures > 5);
    CHECK(stolen == 0);
    CHECK(opened > 0);
}
