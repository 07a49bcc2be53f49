// Waiting for the end of a process, from one or many places.
#include "process/support.hpp"
#include "support/eventually.hpp"
#include "support/proc.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>

#include <atomic>
#include <csignal>
#include <list>
#include <system_error>
#include <thread>
#include <vector>

#include <poll.h>
#include <sys/time.h>
#include <sys/wait.h>

using namespace coproc;
using namespace tests;
using namespace std::chrono_literals;

namespace {

bool is_ready(int descriptor)
{
    pollfd p{descriptor, POLLIN, 0};
    return ::poll(&p, 1, 0) == 1;
}

} // namespace

TEST_CASE("the native handle is ready once the process has ended, not before", "[PRC-019][PRC-020]")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        process p = co_await process::start(by(method), wait_for_the_end);
        CHECK_FALSE(is_ready(p.native_handle()));
        p.send_signal(SIGUSR1);
        const auto end = co_await p.join();
        CHECK(is_ready(p.native_handle()));
        CHECK(end == exit_status{-1, SIGUSR1});
    });
}

TEST_CASE("a join with no or negative time only looks", "[PRC-012]")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        process p = co_await process::start(by(method), wait_for_the_end);
        for (auto time : {0ns, -1ns, -1000000000ns}) {
            const auto end = co_await p.join_for(time);
            CHECK_FALSE(end);
        }
        CHECK(p.running());
        p.kill();
        static_cast<void>(co_await p.join());
        const auto end = co_await p.join_for(0ns);
        CHECK(end == exit_status{-1, SIGKILL});
    });
}

TEST_CASE("a join that gives up leaves the process alone, and a later one sees its end", "[PRC-047]")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        auto options = by(method);
        options.standard_input = pipe_stream;
        process p = co_await process::start(options, [] { return ::getchar() == 'x' ? 6 : 7; });
        const auto begin = std::chrono::steady_clock::now();
        const auto none = co_await p.join_for(20ms);
        CHECK_FALSE(none);
        CHECK(std::chrono::steady_clock::now() - begin >= 20ms);
        CHECK(p.running());
        const bool written = co_await p.write_input("x");
        CHECK(written);
        const auto end = co_await p.join_for(60s);
        CHECK(end == exit_status{6, 0});
    });
}

TEST_CASE("a second join and a late signal change nothing", "[PRC-013][PRC-058]")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        process p = co_await process::start(by(method), [] { return 5; });
        const auto first = co_await p.join();
        p.terminate();
        p.kill();
        p.interrupt();
        p.send_signal(SIGUSR1);
        const auto stopped = co_await p.stop();
        const auto second = co_await p.join();
        CHECK(first == exit_status{5, 0});
        CHECK(stopped == first);
        CHECK(second == first);
    });
}

TEST_CASE("ten joins of one process at the same time all give the same end", "[PRC-037]")
{
    EACH_START_METHOD(method);
    const bool ended_before = GENERATE(false, true);
    process p = sync_wait(process::start(by(method), ended_before ? +[] { return 9; } : +[]() -> int { wait_for_the_end(); return 0; }));
    if (ended_before)
        REQUIRE(support::eventually([&] { return support::has_ended(p.pid()); }));
    asio::io_context loop;
    std::vector<exit_status> ends;
    for (int i = 0; i < 10; ++i)
        asio::co_spawn(loop, p.join(), [&](std::exception_ptr failure, exit_status end) {
            CHECK_FALSE(failure);
            ends.push_back(end);
        });
    loop.poll();
    p.kill();
    loop.run();
    REQUIRE(ends.size() == 10);
    for (const auto& end : ends)
        CHECK(end == (ended_before ? exit_status{9, 0} : exit_status{-1, SIGKILL}));
}

TEST_CASE("cancelled joins leave the process alive, and new ones all see its end", "[PRC-059][CAN-009]")
{
    EACH_START_METHOD(method);
    process p = sync_wait(process::start(by(method), wait_for_the_end));
    asio::io_context loop;
    std::list<asio::cancellation_signal> signals;
    int cancelled = 0;
    for (int i = 0; i < 5; ++i) {
        signals.emplace_back();
        asio::co_spawn(loop, p.join(), asio::bind_cancellation_slot(signals.back().slot(), [&](std::exception_ptr failure, exit_status) {
            cancelled += failure != nullptr;
        }));
    }
    loop.poll();
    for (auto& signal : signals)
        signal.emit(asio::cancellation_type::all);
    loop.run();
    CHECK(cancelled == 5);
    CHECK(p.running());

    loop.restart();
    int seen = 0;
    for (int i = 0; i < 5; ++i)
        asio::co_spawn(loop, p.join(), [&](std::exception_ptr, exit_status end) { seen += end.signal() == SIGTERM; });
    loop.poll();
    p.terminate();
    loop.run();
    CHECK(seen == 5);
}

TEST_CASE("a join with a time that is cancelled says so, as one without")
{
    process p = sync_wait(process::start(wait_for_the_end));
    asio::io_context loop;
    asio::cancellation_signal first, second;
    int aborted = 0;
    const auto count = [&](std::exception_ptr failure, const auto&) {
        try {
            if (failure)
                std::rethrow_exception(failure);
        } catch (const std::system_error& e) {
            aborted += e.code() == asio::error::operation_aborted;
        }
    };
    asio::co_spawn(loop, p.join(), asio::bind_cancellation_slot(first.slot(), count));
    asio::co_spawn(loop, p.join_for(60s), asio::bind_cancellation_slot(second.slot(), count));
    loop.poll();
    first.emit(asio::cancellation_type::all);
    second.emit(asio::cancellation_type::all);
    loop.run();
    CHECK(aborted == 2);
}

TEST_CASE("a loop that is destroyed while joins wait leaves the process alone")
{
    EACH_START_METHOD(method);
    process p = sync_wait(process::start(by(method), wait_for_the_end));
    {
        asio::io_context loop;
        asio::co_spawn(loop, p.join(), asio::detached);
        loop.poll();
    }
    CHECK(p.running());
    p.kill();
    CHECK(sync_wait(p.join()).signal() == SIGKILL);
}

TEST_CASE("2 to 32 processes awaited together on one loop each complete once with their own code", "[PRC-051]")
{
    EACH_START_METHOD(method);
    for (int count : {2, 8, 32}) {
        asio::io_context loop;
        std::vector<process> all;
        std::vector<int> completions(static_cast<std::size_t>(count), 0);
        for (int i = 0; i < count; ++i)
            all.push_back(sync_wait(process::start(by(method), [](int n) { return n + 100; }, i)));
        for (std::size_t i = 0; i < all.size(); ++i)
            asio::co_spawn(loop, all[i].join(), [&completions, i](std::exception_ptr, exit_status end) {
                CHECK(end.code() == static_cast<int>(i) + 100);
                ++completions[i];
            });
        loop.run();
        CHECK(completions == std::vector<int>(static_cast<std::size_t>(count), 1));
    }
}

TEST_CASE("a thread that waits sees the end that another one brought about and reaped", "[PRC-038]")
{
    const auto method = GENERATE(start_method::forkserver, start_method::spawn, start_method::fork);
    process p = sync_wait(process::start(by(method), wait_for_the_end));
    std::atomic<int> inside{0};
    std::vector<std::thread> waiting;
    std::vector<exit_status> ends(4);
    for (auto& end : ends)
        waiting.emplace_back([&] {
            ++inside;
            end = sync_wait(p.join());
        });
    while (inside < 4)
        std::this_thread::yield();
    p.kill();
    while (p.running()) // reaps
        std::this_thread::yield();
    for (auto& thread : waiting)
        thread.join();
    for (const auto& end : ends)
        CHECK(end == exit_status{-1, SIGKILL});
}

TEST_CASE("an end that happens between one loop and another is not lost", "[SIG-010]")
{
    EACH_START_METHOD(method);
    process p = sync_wait(process::start(by(method), wait_for_the_end));
    {
        asio::io_context first;
        asio::co_spawn(first, p.join(), asio::detached);
        first.poll();
    }
    p.kill();
    REQUIRE(support::eventually([&] { return support::has_ended(p.pid()); }));
    asio::io_context second;
    exit_status end;
    asio::co_spawn(second, p.join(), [&](std::exception_ptr, exit_status status) { end = status; });
    second.run();
    CHECK(end.signal() == SIGKILL);
}

TEST_CASE("two processes that end at the same moment are both seen", "[SIG-007]")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        process a = co_await process::start(by(method), wait_for_the_end);
        process b = co_await process::start(by(method), wait_for_the_end);
        sigset_t child_ended, before;
        sigemptyset(&child_ended);
        sigaddset(&child_ended, SIGCHLD);
        sigprocmask(SIG_BLOCK, &child_ended, &before); // both ends are one SIGCHLD
        a.kill();
        b.terminate();
        CHECK(support::eventually([&] { return support::has_ended(a.pid()) && support::has_ended(b.pid()); }));
        sigprocmask(SIG_SETMASK, &before, nullptr);
        const auto end_a = co_await a.join();
        const auto end_b = co_await b.join();
        CHECK(end_a.signal() == SIGKILL);
        CHECK(end_b.signal() == SIGTERM);
    });
}

TEST_CASE("a process that other code reaped has ended for its joiners: with its code or as unknown", "[SIG-007]")
{
    EACH_START_METHOD(method);
    process p = sync_wait(process::start(by(method), wait_for_the_end));
    asio::io_context loop;
    std::vector<exit_status> ends;
    for (int i = 0; i < 3; ++i)
        asio::co_spawn(loop, p.join(), [&](std::exception_ptr failure, exit_status end) {
            CHECK_FALSE(failure);
            ends.push_back(end);
        });
    loop.poll();
    ::kill(p.pid(), SIGTERM);
    while (::waitpid(-1, nullptr, 0) != p.pid()) {}
    loop.run();
    REQUIRE(ends.size() == 3);
    for (const auto& end : ends)
        CHECK((end.unknown() || end == exit_status{-1, SIGTERM}));
    CHECK_FALSE(p.running());
    p.kill(); // reaches nobody
    CHECK(active_children().empty());
}

TEST_CASE("with SIGCHLD ignored processes start, end and are seen to end")
{
    EACH_START_METHOD(method);
    const auto before = std::signal(SIGCHLD, SIG_IGN);
    await([=]() -> task<> {
        process p = co_await process::start(by(method), [] { return 3; });
        const auto end = co_await p.join();
        CHECK((end.unknown() || end == exit_status{3, 0}));
        process q = co_await process::start(by(method), wait_for_the_end);
        CHECK(q.running());
    });
    CHECK(active_children().empty());
    static_cast<void>(sync_wait(process::start(by(method), [] {}))); // and dropped
    std::signal(SIGCHLD, before);
}

TEST_CASE("signals that interrupt system calls disturb neither start nor join nor reading of output", "[SIG-001][SIG-004]")
{
    EACH_START_METHOD(method);
    struct sigaction action{}, before{};
    static std::atomic<int> count{0};
    action.sa_handler = [](int) { ++count; }; // without SA_RESTART
    ::sigaction(SIGALRM, &action, &before);
    const itimerval each{{0, 1000}, {0, 1000}}, never{};
    ::setitimer(ITIMER_REAL, &each, nullptr);
    await([=]() -> task<> {
        for (int i = 0; i < 20; ++i) {
            process p = co_await process::start(piped(method), [](int n) {
                for (int line = 0; line < 1000; ++line)
                    say("line of a process that is read under signals");
                return n;
            }, i);
            const auto text = co_await all_output(p);
            const auto end = co_await p.join();
            CHECK(text.size() == 1000 * 45);
            CHECK(end == exit_status{i, 0});
        }
    });
    ::setitimer(ITIMER_REAL, &never, nullptr);
    ::sigaction(SIGALRM, &before, nullptr);
    CHECK(count > 0);
}

TEST_CASE("a process that is stopped and continued has not ended", "[PRC-033][PRC-055]")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        process p = co_await process::start(by(method), wait_for_the_end);
        p.send_signal(SIGSTOP);
        CHECK(support::eventually([&] { return support::state_of(p.pid()) == 'T'; }));
        CHECK(p.running());
        CHECK_FALSE(is_ready(p.native_handle()));
        p.send_signal(SIGCONT);
        CHECK(support::eventually([&] { return support::state_of(p.pid()) != 'T'; }));
        p.terminate();
        const auto end = co_await p.join();
        CHECK(end == exit_status{-1, SIGTERM});
    });
}

TEST_CASE("a process that joins its own child goes on waiting when it was stopped and continued")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        auto options = piped(method);
        options.standard_input = pipe_stream;
        process p = co_await process::start(options, []() -> task<int> {
            process_options inner;
            inner.standard_input = keep_stream;
            process child = co_await process::start(inner, [] {
                say("waiting");
                return ::getchar() == 'x' ? 21 : 22;
            });
            const auto end = co_await child.join();
            co_return end.code();
        });
        const auto line = co_await line_of(p);
        CHECK(line == "waiting");
        for (int i = 0; i < 5; ++i) {
            p.send_signal(SIGSTOP);
            CHECK(support::eventually([&] { return support::state_of(p.pid()) == 'T'; }));
            p.send_signal(SIGCONT);
        }
        const bool written = co_await p.write_input("x");
        CHECK(written);
        const auto end = co_await p.join();
        CHECK(end.code() == 21);
    });
}
