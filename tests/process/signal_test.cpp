// Signals to a process, and how it is stopped.
#include "process/support.hpp"
#include "support/eventually.hpp"
#include "support/proc.hpp"

#include <atomic>
#include <csignal>

using namespace coproc;
using namespace tests;
using namespace std::chrono_literals;

namespace {

// In a process: ignores SIGTERM and SIGINT, says so, never ends.
void stubborn()
{
    std::signal(SIGTERM, SIG_IGN);
    std::signal(SIGINT, SIG_IGN);
    say("ready");
    wait_for_the_end();
}

int blocked_signals()
{
    sigset_t now;
    sigprocmask(SIG_SETMASK, nullptr, &now);
    int count = 0;
    for (int number = 1; number < NSIG; ++number)
        count += sigismember(&now, number) == 1;
    return count;
}

} // namespace

TEST_CASE("terminate, interrupt and kill send exactly their signal", "[PRC-009][PRC-011]")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        process a = co_await process::start(by(method), wait_for_the_end);
        process b = co_await process::start(by(method), wait_for_the_end);
        process c = co_await process::start(by(method), wait_for_the_end);
        a.terminate();
        b.interrupt();
        c.kill();
        const auto end_a = co_await a.join();
        const auto end_b = co_await b.join();
        const auto end_c = co_await c.join();
        CHECK(end_a == exit_status{-1, SIGTERM});
        CHECK(end_b == exit_status{-1, SIGINT});
        CHECK(end_c == exit_status{-1, SIGKILL});
    });
}

TEST_CASE("a process with a handler of its own gets exactly the signal that was sent", "[PRC-034][PRC-011]")
{
    EACH_START_METHOD(method);
    const int number = GENERATE(SIGTERM, SIGINT, SIGUSR1);
    await([=]() -> task<> {
        process p = co_await process::start(piped(method), [] {
            static volatile sig_atomic_t got;
            got = 0;
            for (int n : {SIGTERM, SIGINT, SIGUSR1})
                std::signal(n, [](int which) { got = which; });
            say("ready");
            sigset_t all, before;
            sigfillset(&all);
            sigprocmask(SIG_BLOCK, &all, &before);
            while (got == 0)
                ::sigsuspend(&before);
            return 100 + got;
        });
        static_cast<void>(co_await line_of(p));
        p.send_signal(number);
        const auto end = co_await p.join();
        CHECK(end == exit_status{100 + number, 0});
    });
}

TEST_CASE("a process begins with no signal blocked, whatever its parent blocks, whose mask stays as it was")
{
    EACH_START_METHOD(method);
    sigset_t some, before;
    sigemptyset(&some);
    for (int number : {SIGTERM, SIGUSR1, SIGCHLD, SIGHUP})
        sigaddset(&some, number);
    sigprocmask(SIG_BLOCK, &some, &before);
    const int count = blocked_signals();
    await([=]() -> task<> {
        process p = co_await process::start(by(method), blocked_signals);
        const auto end = co_await p.join();
        CHECK(end == exit_status{0, 0});
    });
    CHECK(blocked_signals() == count);
    sigprocmask(SIG_SETMASK, &before, nullptr);
}

TEST_CASE("a handler of the parent is none of its process", "[SIG-005]")
{
    EACH_START_METHOD(method);
    static std::atomic<int> here{0};
    here = 0;
    const auto before = std::signal(SIGTERM, [](int) { ++here; });
    await([=]() -> task<> {
        process p = co_await process::start(by(method), wait_for_the_end);
        p.terminate();
        const auto end = co_await p.join();
        CHECK(end == exit_status{-1, SIGTERM});
        process q = co_await process::start(by(method), [] {}); // the loop of the parent works
        const auto end_q = co_await q.join();
        CHECK(end_q.ok());
    });
    CHECK(here == 0);
    std::signal(SIGTERM, before);
}

TEST_CASE("a signal that the program ignores is ignored in a forked process too", "[SIG-013]")
{
    const auto before = std::signal(SIGTERM, SIG_IGN);
    await([]() -> task<> {
        process p = co_await process::start(by(start_method::fork), [] { return std::signal(SIGTERM, SIG_IGN) == SIG_IGN ? 3 : 4; });
        const auto end = co_await p.join();
        CHECK(end.code() == 3);
    });
    std::signal(SIGTERM, before);
}

TEST_CASE("a fresh execution of the program ignores no signal, whatever its parent ignores", "[SIG-012]")
{
    const auto method = GENERATE(start_method::forkserver, start_method::spawn);
    const auto before = std::signal(SIGUSR1, SIG_IGN);
    const auto before_pipe = std::signal(SIGPIPE, SIG_IGN);
    await([=]() -> task<> {
        process p = co_await process::start(by(method), [] {
            return 10 * (std::signal(SIGUSR1, SIG_DFL) == SIG_IGN) + (std::signal(SIGPIPE, SIG_DFL) == SIG_IGN);
        });
        const auto end = co_await p.join();
        CHECK(end.code() == 0);
    });
    std::signal(SIGUSR1, before);
    std::signal(SIGPIPE, before_pipe);
}

TEST_CASE("stop asks with SIGTERM, and a process that obeys is not killed", "[SHD-017]")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        process p = co_await process::start(by(method), wait_for_the_end);
        const stop_policy policy{0ms, 60s};
        const auto end = co_await p.stop(policy);
        CHECK(end == exit_status{-1, SIGTERM});
    });
}

TEST_CASE("stop can begin with SIGINT", "[SHD-017]")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        process p = co_await process::start(by(method), wait_for_the_end);
        const stop_policy policy{60s, 60s};
        const auto end = co_await p.stop(policy);
        CHECK(end == exit_status{-1, SIGINT});
    });
}

TEST_CASE("stop kills a process that ignores what it is asked, one step after the other", "[SHD-016][SHD-017]")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        process p = co_await process::start(piped(method), stubborn);
        static_cast<void>(co_await line_of(p));
        const auto begin = std::chrono::steady_clock::now();
        const stop_policy policy{20ms, 30ms};
        const auto end = co_await p.stop(policy);
        CHECK(std::chrono::steady_clock::now() - begin >= 50ms);
        CHECK(end == exit_status{-1, SIGKILL});
    });
}

TEST_CASE("stop without time kills at once", "[SHD-017]")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        process p = co_await process::start(by(method), wait_for_the_end);
        const stop_policy policy{0ms, 0ms};
        const auto end = co_await p.stop(policy);
        CHECK(end == exit_status{-1, SIGKILL});
    });
}

TEST_CASE("stop ends a process that is suspended", "[SHD-016]")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        process p = co_await process::start(by(method), wait_for_the_end);
        p.send_signal(SIGSTOP);
        CHECK(support::eventually([&] { return support::state_of(p.pid()) == 'T'; }));
        const stop_policy policy{0ms, 20ms}; // SIGTERM is not even looked at
        const auto end = co_await p.stop(policy);
        CHECK(end == exit_status{-1, SIGKILL});
    });
}

TEST_CASE("a process that cleans up on SIGTERM decides how it ends", "[PRC-034]")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        process p = co_await process::start(piped(method), [] {
            std::signal(SIGTERM, [](int) { ::_exit(17); });
            say("ready");
            wait_for_the_end();
        });
        static_cast<void>(co_await line_of(p));
        const auto end = co_await p.stop();
        CHECK(end == exit_status{17, 0});
    });
}

TEST_CASE("a forked process runs an event loop of its own, and the parent's goes on", "[CTX-016][CTX-017]")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        process p = co_await process::start(by(method), []() -> task<int> {
            process child = co_await process::start([] { return 30; }); // its own subprocess, on its own loop
            const auto end = co_await child.join();
            co_return end.code() + 1;
        });
        process q = co_await process::start(by(method), [] { std::exit(2); }); // runs the destructors of what it inherited
        const auto end_q = co_await q.join();
        CHECK(end_q.code() == 2);
        const auto end_p = co_await p.join();
        CHECK(end_p.code() == 31);
        const auto nothing = co_await p.join_for(1ms); // timers work too
        CHECK(nothing);
    });
}
