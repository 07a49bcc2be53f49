// What is cancelled while a process starts, runs or is being stopped.
#include "process/support.hpp"
#include "support/proc.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/error.hpp>
#include <asio/io_context.hpp>
#include <asio/this_coro.hpp>

#include <chrono>
#include <csignal>
#include <exception>
#include <map>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include <unistd.h>

using namespace coproc;
using namespace tests;
using namespace std::chrono_literals;

namespace {

bool is_aborted(const std::exception_ptr& failure)
{
    try {
        if (failure)
            std::rethrow_exception(failure);
    } catch (const std::system_error& e) {
        return e.code() == asio::error::operation_aborted;
    }
    return false;
}

process_options with_pipes(start_method method)
{
    auto options = piped(method);
    options.standard_input = options.standard_error = pipe_stream;
    return options;
}

/// Says when it no longer ends by SIGINT and SIGTERM.
void stand_firm()
{
    std::signal(SIGINT, SIG_IGN);
    std::signal(SIGTERM, SIG_IGN);
    say("ready");
    wait_for_the_end();
}

/// What a program does that wants a cancelled wait to be a polite request: asks, and waits again.
task<exit_status> run_until_cancelled(process& p, int signal, std::optional<stop_policy> policy)
{
    try {
        auto end = p.join();
        co_return co_await std::move(end);
    } catch (const std::system_error&) {
    }
    co_await asio::this_coro::reset_cancellation_state();
    p.send_signal(signal);
    auto end = policy ? p.stop(*policy) : p.join();
    co_return co_await std::move(end);
}

/// What this process has that a process which it starts could leave behind.
struct belongings {
    std::map<int, std::string> descriptors = support::open_descriptors(::getpid());
    std::vector<pid_t> children = support::children_of(::getpid());
    bool operator==(const belongings&) const = default;
};

/// The end of `work`, which is cancelled once it waits.
std::optional<exit_status> end_of_cancelled(task<exit_status> work)
{
    asio::io_context loop;
    asio::cancellation_signal cancel;
    std::optional<exit_status> result;
    asio::co_spawn(loop, std::move(work), asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr failure, exit_status end) {
        if (!failure)
            result = end;
    }));
    loop.poll();
    cancel.emit(asio::cancellation_type::all);
    loop.run();
    return result;
}

} // namespace

TEST_CASE("a start that is cancelled at any step leaves no process and no pipe", "[CAN-010]")
{
    EACH_START_METHOD(method);
    sync_wait(process::start(by(method), [] {})).kill(); // what the first start makes is there
    REQUIRE(active_children().empty()); // reaped
    const belongings before;
    int aborted = 0, started = 0;
    for (int steps = 0; started == 0; ++steps) {
        REQUIRE(steps < 1000);
        {
            asio::io_context loop;
            asio::cancellation_signal cancel;
            auto options = with_pipes(method);
            asio::co_spawn(loop, process::start(options, wait_for_the_end),
                           asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr failure, process p) {
                               aborted += is_aborted(failure);
                               started += p.valid();
                           }));
            for (int i = 0; i < steps && started == 0; ++i)
                loop.run_one();
            cancel.emit(asio::cancellation_type::terminal);
            loop.run();
        }
        CHECK(active_children().empty());
        CHECK(belongings{} == before);
        CHECK(aborted + started == steps + 1);
    }
    CHECK(aborted > 0);
}

TEST_CASE("a scope that is cancelled while it stops its process leaves neither the process nor its streams", "[CAN-011]")
{
    EACH_START_METHOD(method);
    sync_wait(process::start(by(method), [] {})).kill();
    REQUIRE(active_children().empty());
    const belongings before;
    int pid = 0;
    std::exception_ptr failure;
    {
        asio::io_context loop;
        asio::cancellation_signal cancel;
        auto scope = [&]() -> task<> {
            auto options = with_pipes(method);
            process p = co_await process::start(options, stand_firm);
            static_cast<void>(co_await line_of(p));
            pid = p.pid();
            stop_policy patient;
            patient.after_interrupt = 1h;
            auto end = p.stop(patient);
            co_await std::move(end);
        };
        asio::co_spawn(loop, scope(), asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr e) { failure = e; }));
        while (pid == 0)
            loop.run_one();
        loop.poll();
        CHECK(!support::has_ended(pid));
        cancel.emit(asio::cancellation_type::terminal);
        loop.run();
    }
    CHECK(is_aborted(failure));
    CHECK(support::has_ended(pid));
    CHECK(belongings{} == before);
}

TEST_CASE("a wait that is cancelled can be turned into SIGINT or SIGTERM, and the result shows it", "[CAN-017]")
{
    EACH_START_METHOD(method);
    const int signal = GENERATE(SIGINT, SIGTERM);
    process p = sync_wait(process::start(by(method), wait_for_the_end));
    CHECK(end_of_cancelled(run_until_cancelled(p, signal, std::nullopt)) == exit_status{-1, signal});
}

TEST_CASE("a process that ignores SIGTERM when its wait is cancelled is killed after the time of grace", "[CAN-021]")
{
    EACH_START_METHOD(method);
    process p = sync_wait([](start_method by) -> task<process> {
        auto options = piped(by);
        process started = co_await process::start(options, stand_firm);
        static_cast<void>(co_await line_of(started));
        co_return started;
    }(method));
    stop_policy brief;
    brief.after_terminate = 20ms;
    const auto begin = std::chrono::steady_clock::now();
    CHECK(end_of_cancelled(run_until_cancelled(p, SIGTERM, brief)) == exit_status{-1, SIGKILL});
    CHECK(std::chrono::steady_clock::now() - begin >= 20ms);
}

TEST_CASE("a group that is awaited member by member within one time gets what is left of it", "[TMO-011]")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        std::vector<process> group;
        for (int i = 0; i < 3; ++i) {
            auto options = by(method);
            options.standard_input = pipe_stream;
            group.push_back(co_await process::start(options, [] { return ::getchar(); }));
        }
        const auto until = std::chrono::steady_clock::now() + 300ms;
        const auto next = [&](std::size_t i) { return group[i].join_for(until - std::chrono::steady_clock::now()); };
        static_cast<void>(co_await group[0].write_input("a"));
        static_cast<void>(co_await group[1].write_input("b"));
        const auto first = co_await group[0].join(), second = co_await group[1].join();
        CHECK(first.code() == 'a');
        CHECK(second.code() == 'b');
        auto last = next(2);
        const auto third = co_await std::move(last);
        CHECK_FALSE(third);
        CHECK(std::chrono::steady_clock::now() >= until);
        auto late = next(0);
        const auto again = co_await std::move(late); // no time is left, and it only looks
        CHECK(again == first);
        CHECK(group[2].running());
    });
}
