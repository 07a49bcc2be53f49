// Parents, children and grandchildren within one program.
#include "process/support.hpp"
#include "support/eventually.hpp"
#include "support/proc.hpp"

#include <coproc/error.hpp>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <sstream>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

using namespace coproc;
using namespace tests;

namespace {

start_method as_method(int number) { return static_cast<start_method>(number); }

// Starts one more process of each generation's method, until none is left; the last one's exit code is the depth.
task<int> generation(int depth, int left, int method)
{
    if (left == 0)
        co_return depth;
    process child = co_await process::start(by(as_method((method + left) % 3)), generation, depth + 1, left - 1, method);
    const auto end = co_await child.join();
    co_return end.code();
}

// Says its own pid and that of a child it starts and waits for.
task<> say_and_wait(int method)
{
    process_options options = by(as_method(method));
    process child = co_await process::start(options, wait_for_the_end);
    say(std::to_string(child.pid()));
    static_cast<void>(co_await child.join());
}

int number_in(const std::string& line) { return std::atoi(line.c_str()); }

} // namespace

TEST_CASE("a child knows its parent by pid and name, and the first process has none", "[PRC-007]")
{
    EACH_START_METHOD(method);
    CHECK(this_process::name() == "main");
    CHECK_FALSE(this_process::parent());
    CHECK(this_process::pid() == ::getpid());
    await([=]() -> task<> {
        auto options = piped(method);
        options.name = "middle";
        process p = co_await process::start(options, []() -> task<> {
            say(this_process::parent()->name + " " + std::to_string(this_process::parent()->pid));
            process child = co_await process::start(by(start_method::forkserver), [] {
                say(this_process::parent()->name + " " + std::to_string(this_process::parent()->pid));
            });
            static_cast<void>(co_await child.join());
        });
        const auto own = co_await line_of(p);
        const auto childs = co_await line_of(p);
        static_cast<void>(co_await p.join());
        CHECK(own == "main " + std::to_string(::getpid()));
        CHECK(childs == "middle " + std::to_string(p.pid()));
    });
}

TEST_CASE("the kernel knows a process as a child of the one that started it, so that its end arrives there")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        process p = co_await process::start(by(method), wait_for_the_end);
        CHECK(support::parent_of(p.pid()) == ::getpid());
    });
}

TEST_CASE("a process starts processes of its own by every method", "[CTX-017]")
{
    EACH_START_METHOD(outer);
    const auto inner = GENERATE(start_method::forkserver, start_method::spawn, start_method::fork);
    await([=]() -> task<> {
        process p = co_await process::start(
            by(outer),
            [](int method) -> task<int> {
                process child = co_await process::start(by(as_method(method)), [] { return 61; });
                const auto end = co_await child.join();
                co_return end.code() + 1;
            },
            static_cast<int>(inner));
        const auto end = co_await p.join();
        CHECK(end.code() == 62);
    });
}

TEST_CASE("processes nested five deep by changing methods work", "[CTX-013]")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        process p = co_await process::start(by(method), generation, 1, 5, static_cast<int>(method));
        const auto end = co_await p.join();
        CHECK(end.code() == 6);
    });
}

TEST_CASE("when a child is killed its own children end too", "[PRC-008][PRC-046][SHD-009]")
{
    EACH_START_METHOD(outer);
    const auto inner = GENERATE(start_method::forkserver, start_method::spawn, start_method::fork);
    await([=]() -> task<> {
        process p = co_await process::start(piped(outer), say_and_wait, static_cast<int>(inner));
        const auto line = co_await line_of(p);
        const int grandchild = number_in(line);
        REQUIRE(grandchild > 0);
        CHECK_FALSE(support::has_ended(grandchild));
        p.kill();
        static_cast<void>(co_await p.join());
        CHECK(support::eventually([=] { return support::has_ended(grandchild); }));
    });
}

TEST_CASE("when a child returns or exits, its own children end too", "[PRC-008]")
{
    EACH_START_METHOD(outer);
    const int way = GENERATE(0, 1, 2);
    await([=]() -> task<> {
        process p = co_await process::start(
            piped(outer),
            [](int how) -> task<> {
                process child = co_await process::start(by(start_method::forkserver), wait_for_the_end);
                process other = co_await process::start(by(start_method::spawn), wait_for_the_end);
                say(std::to_string(child.pid()) + " " + std::to_string(other.pid()));
                if (how == 1)
                    std::exit(255);
                if (how == 2)
                    ::_exit(255);
            },
            way);
        const auto line = co_await line_of(p);
        const auto end = co_await p.join();
        CHECK(end.code() == (way == 0 ? 0 : 255));
        int first = 0, second = 0;
        std::istringstream{line} >> first >> second;
        REQUIRE(first > 0);
        REQUIRE(second > 0);
        CHECK(support::eventually([=] { return support::has_ended(first) && support::has_ended(second); }));
    });
}

TEST_CASE("a detached process outlives the one that started it, killed or not", "[PRC-046]")
{
    EACH_START_METHOD(inner);
    const bool killed = GENERATE(false, true);
    await([=]() -> task<> {
        process p = co_await process::start(
            piped(start_method::forkserver),
            [](int method, bool waits) -> task<> {
                process child = co_await process::start(by(as_method(method)), wait_for_the_end);
                const int pid = child.pid();
                child.detach();
                say(std::to_string(pid) + (child.valid() ? " valid" : " empty") + " " + std::to_string(active_children().size()));
                if (waits)
                    wait_for_the_end();
            },
            static_cast<int>(inner), killed);
        const auto line = co_await line_of(p);
        if (killed)
            p.kill();
        static_cast<void>(co_await p.join());
        const int grandchild = number_in(line);
        REQUIRE(grandchild > 0);
        CHECK_THAT(line, Catch::EndsWith(" empty 0"));
        CHECK(support::eventually([&] { return support::parent_of(grandchild) != p.pid(); }));
        CHECK_FALSE(support::has_ended(grandchild));
        support::kill_now(grandchild);
    });
}

TEST_CASE("a process that closes all descriptors it knows of still ends with its parent, by the fork server")
{
    await([]() -> task<> {
        process p = co_await process::start(piped(start_method::forkserver), []() -> task<> {
            process child = co_await process::start(by(start_method::forkserver), [] {
                ::close_range(3, ~0U, 0);
                say(std::to_string(::getpid()));
                wait_for_the_end();
            });
            static_cast<void>(co_await child.join());
        });
        const auto line = co_await line_of(p);
        const int grandchild = number_in(line);
        REQUIRE(grandchild > 0);
        p.kill();
        static_cast<void>(co_await p.join());
        CHECK(support::eventually([=] { return support::has_ended(grandchild); }));
    });
}

TEST_CASE("active_children lists what runs, without those that ended or were detached", "[PRC-003]")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        auto options = by(method);
        options.name = "one";
        process a = co_await process::start(options, wait_for_the_end);
        options.name = "two";
        process b = co_await process::start(options, wait_for_the_end);
        CHECK(active_children().size() == 2);
        a.kill();
        static_cast<void>(co_await a.join());
        REQUIRE(active_children().size() == 1);
        CHECK(active_children()[0].name == "two");
        const int pid = b.pid();
        b.detach();
        CHECK(active_children().empty());
        CHECK_FALSE(support::has_ended(pid));
        support::kill_now(pid);
        CHECK(support::eventually([=] { return support::has_ended(pid); }));
        CHECK(active_children().empty()); // which reaps it
    });
}

TEST_CASE("the program's own processes stay its own: nothing here reaps them")
{
    EACH_START_METHOD(method);
    const pid_t foreign = ::fork();
    if (foreign == 0)
        ::_exit(42);
    await([=]() -> task<> {
        process p = co_await process::start(by(method), [] {});
        static_cast<void>(co_await p.join());
    });
    int status = 0;
    REQUIRE(::waitpid(foreign, &status, 0) == foreign);
    CHECK(WEXITSTATUS(status) == 42);
}

TEST_CASE("a forked process that exits leaves the handles it inherited alone, and the processes of its parent with them")
{
    static process sibling; // which exit destroys there
    await([]() -> task<> {
        sibling = co_await process::start(by(start_method::fork), wait_for_the_end);
        process p = co_await process::start(by(start_method::fork), [] {
            const bool good = active_children().empty() && !sibling.running() && sibling.exit_status()->unknown();
            sibling.kill();
            std::exit(good ? 3 : 4);
        });
        const auto end = co_await p.join();
        CHECK(end == exit_status{3, 0});
        const auto none = co_await sibling.join_for(std::chrono::milliseconds{20});
        CHECK_FALSE(none);
    });
    sibling = {};
}

TEST_CASE("a thread that is not the main one starts processes, which outlive it", "[CTX-018]")
{
    const auto method = GENERATE(start_method::forkserver, start_method::spawn);
    INFO("start method " << to_string(method));
    process p;
    std::thread{[&] { p = sync_wait(process::start(by(method), wait_for_the_end)); }}.join();
    CHECK(support::eventually([] { return support::threads_of(::getpid()).size() == 1; }));
    CHECK(p.running());
    p.kill();
    CHECK(sync_wait(p.join()).signal() == SIGKILL);
}

TEST_CASE("fork is refused in a process with more threads, and says what to use instead", "[CTX-014]")
{
    std::atomic<bool> done{false};
    std::thread other{[&] { done.wait(false); }};
    std::string said;
    try {
        static_cast<void>(sync_wait(process::start(by(start_method::fork), [] {})));
    } catch (const usage_error& e) {
        said = e.what();
    }
    CHECK_THAT(said, Catch::Contains("forkserver") && Catch::Contains("spawn"));
    done = true;
    done.notify_all();
    other.join();
    CHECK(support::eventually([] { return support::threads_of(::getpid()).size() == 1; }));
    CHECK(sync_wait(process::start(by(start_method::fork), [] {})).valid()); // alone again, it may
}

TEST_CASE("sync_wait in a coroutine on the loop's own thread is refused")
{
    await([]() -> task<> {
        CHECK_THROWS_AS(static_cast<void>(sync_wait(process::start([] {}))), usage_error);
        co_return;
    });
}
