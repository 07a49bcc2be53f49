// What processes hold open, and what is left in the parent.
#include "process/support.hpp"
#include "support/eventually.hpp"
#include "support/proc.hpp"

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/this_coro.hpp>

#include <csignal>
#include <set>
#include <system_error>
#include <vector>

#include <algorithm>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

using namespace coproc;
using namespace tests;

namespace {

std::size_t own_descriptors() { return support::open_descriptors(::getpid()).size(); }

} // namespace

TEST_CASE("processes hold equally many descriptors, whatever their siblings hold", "[PRC-023]")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        std::vector<process> all;
        std::set<std::size_t> counts;
        auto options = by(method);
        options.standard_input = pipe_stream;
        options.standard_output = pipe_stream;
        options.standard_error = pipe_stream;
        for (int i = 0; i < 5; ++i) {
            all.push_back(co_await process::start(options, [] {
                say("ready");
                wait_for_the_end();
            }));
            static_cast<void>(co_await line_of(all.back()));
            counts.insert(support::open_descriptors(all.back().pid()).size());
        }
        CHECK(counts.size() == 1);
    });
}

TEST_CASE("a fresh process holds its standard streams, the lifeline, its executable and the program's table, nothing else", "[CTX-021]")
{
    const auto method = GENERATE(start_method::forkserver, start_method::spawn);
    INFO("start method " << to_string(method));
    const int foreign = ::open("/dev/zero", O_RDONLY); // not closed on exec
    const int high = ::fcntl(foreign, F_DUPFD, 300);
    await([=]() -> task<> {
        process p = co_await process::start(piped(method), [] {
            say("ready");
            wait_for_the_end();
        });
        static_cast<void>(co_await line_of(p));
        const auto held = support::open_descriptors(p.pid());
        int others = 0;
        for (const auto& [number, target] : held) {
            INFO(number << " -> " << target);
            others += number > 2;
            CHECK(target != "/dev/zero");
            CHECK_THAT(target, !Catch::Contains("socket:"));
        }
        CHECK(others == 3);
        CHECK(held.at(0) == "/dev/null");
    });
    ::close(foreign);
    ::close(high);
}

TEST_CASE("descriptors above a limit that was lowered later don't reach a process either", "[PRC-043]")
{
    const auto method = GENERATE(start_method::forkserver, start_method::spawn);
    INFO("start method " << to_string(method));
    rlimit before{};
    ::getrlimit(RLIMIT_NOFILE, &before);
    const int high = ::fcntl(0, F_DUPFD, std::min(500, support::descriptor_limit() - 1));
    REQUIRE(high >= 200);
    rlimit low = before;
    low.rlim_cur = 100;
    ::setrlimit(RLIMIT_NOFILE, &low);
    await([=]() -> task<> {
        process p = co_await process::start(by(method), [](int number) { return ::fcntl(number, F_GETFD) < 0 ? 3 : 4; }, high);
        const auto end = co_await p.join();
        CHECK(end.code() == 3);
    });
    ::setrlimit(RLIMIT_NOFILE, &before);
    ::close(high);
}

TEST_CASE("a pipe ends when its process ends, although siblings were started after it", "[PRC-023]")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        process first = co_await process::start(piped(method), wait_for_the_end);
        process second = co_await process::start(piped(method), wait_for_the_end);
        first.kill();
        const auto text = co_await all_output(first); // hangs if the second one holds the write end
        CHECK(text.empty());
        CHECK(second.running());
    });
}

TEST_CASE("a process's input ends when it is closed, although siblings were started while it was written")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        auto options = by(method);
        options.standard_input = pipe_stream;
        process first = co_await process::start(options, [] {
            ::raise(SIGSTOP); // the pipe gets full
            int count = 0;
            while (::getchar() != EOF)
                ++count;
            return count == 1 << 20 ? 3 : 4;
        });
        const auto executor = co_await asio::this_coro::executor;
        bool written = false;
        asio::co_spawn(executor, first.write_input(std::string(1 << 20, 'i')), [&](std::exception_ptr, bool all) { written = all; });
        static_cast<void>(co_await first.join_for(std::chrono::milliseconds{5})); // the writer has begun, and waits
        process second = co_await process::start(by(method), wait_for_the_end);
        CHECK(support::eventually([&] { return support::state_of(first.pid()) == 'T'; }));
        first.send_signal(SIGCONT);
        while (!written)
            static_cast<void>(co_await first.join_for(std::chrono::milliseconds{1}));
        first.close_input();
        const auto end = co_await first.join(); // hangs if the second one holds the write end
        CHECK(end.code() == 3);
        CHECK(second.running());
    });
}

TEST_CASE("a forked process holds nothing of what its parent waits for", "[PRC-023]")
{
    await([]() -> task<> {
        auto options = by(start_method::fork);
        options.standard_input = pipe_stream;
        options.standard_output = pipe_stream;
        const auto executor = co_await asio::this_coro::executor;
        process idle = co_await process::start(options, wait_for_the_end);
        const auto say_and_stay = [] {
            say("ready");
            wait_for_the_end();
        };
        process before = co_await process::start(options, say_and_stay);
        static_cast<void>(co_await line_of(before));
        asio::co_spawn(executor, idle.join(), asio::detached);
        asio::co_spawn(executor, idle.read_output(), asio::detached);
        asio::co_spawn(executor, idle.write_input(std::string(1 << 20, 'i')), asio::detached);
        static_cast<void>(co_await idle.join_for(std::chrono::milliseconds{5})); // all three wait now
        process after = co_await process::start(options, say_and_stay);
        static_cast<void>(co_await line_of(after));
        CHECK(support::open_descriptors(after.pid()).size() == support::open_descriptors(before.pid()).size());
        idle.kill();
        static_cast<void>(co_await idle.join());
        static_cast<void>(co_await before.join_for(std::chrono::milliseconds{5})); // the three are done
    });
}

TEST_CASE("after a start and a join the parent holds what it held before", "[PRC-053][PRC-063]")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        {
            process first = co_await process::start(piped(method), [] {}); // and the fork server
            static_cast<void>(co_await first.join());
        }
        const auto before = own_descriptors();
        for (int i = 0; i < 30; ++i) {
            auto options = piped(method);
            options.standard_input = pipe_stream;
            options.standard_error = pipe_stream;
            process p = co_await process::start(options, [](int n) {
                if (n % 3 == 0)
                    throw 1;
                if (n % 3 == 1)
                    ::raise(SIGKILL);
            }, i);
            static_cast<void>(co_await all_output(p));
            static_cast<void>(co_await p.join());
            p = {};
            REQUIRE(own_descriptors() == before);
        }
    });
}

TEST_CASE("a thousand failing starts leave nothing", "[PRC-063]")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        {
            process first = co_await process::start(by(method), [] {});
            static_cast<void>(co_await first.join());
        }
        const auto before = own_descriptors();
        auto options = piped(method);
        options.standard_input = pipe_stream;
        options.standard_error = pipe_stream;
        options.working_directory = "/no/such/directory";
        int failures = 0;
        for (int i = 0; i < 1024; ++i) {
            try {
                static_cast<void>(co_await process::start(options, [] {}));
            } catch (const std::system_error&) {
                ++failures;
            }
        }
        CHECK(failures == 1024);
        CHECK(own_descriptors() == before);
        CHECK(active_children().empty());
    });
}

TEST_CASE("a start that is given up leaves neither process nor descriptor")
{
    EACH_START_METHOD(method);
    // Destroyed after 0, 1, 2 ... turns of its loop: at each of its suspension points.
    for (int turns = 0; turns < 6; ++turns) {
        asio::io_context loop;
        asio::co_spawn(loop, process::start(piped(method), wait_for_the_end), asio::detached);
        for (int i = 0; i < turns; ++i)
            loop.poll_one();
    }
    CHECK(active_children().empty());
    CHECK(support::eventually([] {
        for (pid_t child : support::children_of(::getpid()))
            if (support::name_of(child) != "fork server")
                return false;
        return true;
    }));
}
