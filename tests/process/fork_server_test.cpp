// The fork server is a helper: its loss, at any moment, costs nothing but its restart.
#include "process/fork_server.hpp"
#include "process/support.hpp"
#include "support/eventually.hpp"
#include "support/proc.hpp"

#include <asio/co_spawn.hpp>
#include <asio/this_coro.hpp>

#include <atomic>
#include <csignal>
#include <random>
#include <thread>
#include <vector>

using namespace coproc;
using namespace tests;

namespace {

int server() { return detail::this_fork_server().pid(); }

task<int> start_and_join(int number)
{
    process p = co_await process::start(by(start_method::forkserver), [](int n) { return n; }, number);
    const auto end = co_await p.join();
    co_return end.code();
}

} // namespace

TEST_CASE("the fork server is started once and makes all processes")
{
    await([]() -> task<> {
        static_cast<void>(co_await start_and_join(1));
        const int first = server();
        CHECK(first > 0);
        static_cast<void>(co_await start_and_join(2));
        CHECK(server() == first);
        CHECK(support::threads_of(first).size() == 1);
    });
}

TEST_CASE("a fork server that was killed is replaced in silence, and the earlier process still ends as it does", "[CTX-008]")
{
    const int number = GENERATE(SIGINT, SIGKILL, SIGTERM);
    await([=]() -> task<> {
        auto options = by(start_method::forkserver);
        options.standard_input = pipe_stream;
        process earlier = co_await process::start(options, [] { return ::getchar() == 'x' ? 17 : 18; });
        const int old = server();
        ::kill(old, number);
        CHECK(support::eventually([=] { return support::has_ended(old); }));
        const int code = co_await start_and_join(5);
        CHECK(code == 5);
        CHECK(server() != old);
        CHECK(earlier.running());
        const bool written = co_await earlier.write_input("x");
        CHECK(written);
        const auto end = co_await earlier.join();
        CHECK(end == exit_status{17, 0});
    });
}

TEST_CASE("processes of a fork server that was killed are still ended with their handles")
{
    await([]() -> task<> {
        process p = co_await process::start(by(start_method::forkserver), wait_for_the_end);
        ::kill(server(), SIGKILL);
        const int pid = p.pid();
        p = {};
        CHECK(support::state_of(pid) == '\0');
    });
}

TEST_CASE("a fork server that is killed at any moment of a start costs no process", "[CTX-008]")
{
    const unsigned seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random{seed};
    static std::atomic<bool> done;
    done = false;
    // Kills from outside of the loop, at moments that have nothing to do with it. (A start gives up after three servers
    // that were killed under it, so that a killer has to let one through.)
    std::atomic<int> wanted{0};
    std::thread killer{[&] {
        for (int kills = 0; !done; wanted.wait(kills)) {
            for (auto left = random() % 3000; left > 0; --left)
                std::atomic_signal_fence(std::memory_order_seq_cst);
            if (kills < wanted) {
                ++kills;
                if (const int pid = server(); pid > 0)
                    ::kill(pid, SIGKILL);
            }
        }
    }};
    await([&]() -> task<> {
        auto options = by(start_method::forkserver);
        options.standard_input = pipe_stream;
        for (int i = 0; i < 100; ++i) {
            process running = co_await process::start(options, [](int n) { return ::getchar() == 'x' ? n : 255; }, i);
            ++wanted;
            wanted.notify_all();
            const int code = co_await start_and_join(i + 1);
            CHECK(code == i + 1);
            const bool written = co_await running.write_input("x");
            CHECK(written);
            const auto end = co_await running.join();
            CHECK(end == exit_status{i, 0});
        }
    });
    done = true;
    ++wanted;
    wanted.notify_all();
    killer.join();
    CHECK(active_children().empty());
    detail::this_fork_server().stop();
    CHECK(support::children_of(::getpid()).empty()); // none was made and forgotten
}

TEST_CASE("a fork server that is suspended delays a start, and no more")
{
    await([]() -> task<> {
        static_cast<void>(co_await start_and_join(1));
        const int pid = server();
        ::kill(pid, SIGSTOP);
        CHECK(support::eventually([=] { return support::state_of(pid) == 'T'; }));
        const auto executor = co_await asio::this_coro::executor;
        int code = -1;
        asio::co_spawn(executor, start_and_join(8), [&](std::exception_ptr, int result) { code = result; });
        process other = co_await process::start(by(start_method::spawn), [] {});
        static_cast<void>(co_await other.join());
        CHECK(code == -1);
        ::kill(pid, SIGCONT);
        while (code == -1) {
            process tick = co_await process::start(by(start_method::spawn), [] {});
            static_cast<void>(co_await tick.join());
        }
        CHECK(code == 8);
        CHECK(server() == pid);
    });
}

TEST_CASE("a stopped fork server is gone, and the next start brings another one")
{
    await([]() -> task<> {
        static_cast<void>(co_await start_and_join(1));
        const int first = server();
        detail::this_fork_server().stop();
        CHECK(server() == 0);
        CHECK(support::state_of(first) == '\0');
        const int code = co_await start_and_join(2);
        CHECK(code == 2);
        CHECK(server() > 0);
    });
}
