// When the system has no more of something: a start works or fails with the kernel's reason, and leaves nothing.
#include "process/attempt.hpp"
#include "process/fork_server.hpp"
#include "process/support.hpp"
#include "support/eventually.hpp"
#include "support/hang_guard.hpp"
#include "support/injection.hpp"
#include "support/proc.hpp"
#include "support/slowness.hpp"

#include <cerrno>

#include <sys/resource.h>
#include <unistd.h>

using namespace coproc;
using namespace tests;
using support::injection;

namespace {

// Neither descriptors nor processes but the fork server.
bool nothing_left(std::size_t descriptors)
{
    detail::this_fork_server().stop();
    return active_children().empty() && support::children_of(::getpid()).empty()
           && support::open_descriptors(::getpid()).size() == descriptors;
}

std::size_t without_fork_server()
{
    detail::this_fork_server().stop();
    return support::open_descriptors(::getpid()).size();
}

} // namespace

TEST_CASE("whichever system call of a start fails, it fails with that reason or works, and leaves nothing")
{
    support::time_limit limit{std::chrono::seconds{75}};
    EACH_START_METHOD(method);
    const int error = GENERATE(EMFILE, ENOMEM);
    CAPTURE(error);
    int calls = 0;
    const std::size_t before = without_fork_server();
    {
        injection counting{[&](os::call) {
            ++calls;
            return os::verdict{};
        }};
        REQUIRE(await([=] { return try_one(method); }) == 0);
    }
    REQUIRE(calls >= 7);
    REQUIRE(nothing_left(before));
    int failures = 0;
    for (int index = 0; index < calls + 2; ++index) {
        CAPTURE(index);
        int result = 0;
        {
            injection one{injection::fails_at(index, error)};
            result = await([=] { return try_one(method); });
        }
        // In a forked process the injection goes on: its own failure is told by an error of coproc's.
        CAPTURE(result);
        CHECK((result == 0 || result == error || (method == start_method::fork && result != 1000)));
        failures += result != 0;
        REQUIRE(nothing_left(before));
    }
    CHECK(failures >= 7);
    CHECK(await([=] { return try_one(method); }) == 0);
}

TEST_CASE("interrupted system calls don't keep a start from working")
{
    EACH_START_METHOD(method);
    std::size_t count = 0;
    injection every_other{[&](os::call call) {
        const bool makes_a_process = call == os::call::spawn || call == os::call::fork; // which is never interrupted
        return os::verdict{!makes_a_process && count++ % 3 != 0 ? EINTR : 0, SIZE_MAX};
    }};
    for (int i = 0; i < 5; ++i)
        CHECK(await([=] { return try_one(method); }) == 0);
    CHECK(count > 0);
}

TEST_CASE("output and input that move a byte at a time arrive whole")
{
    EACH_START_METHOD(method);
    std::size_t count = 0;
    await([&]() -> task<> {
        auto options = piped(method);
        options.standard_input = pipe_stream;
        process p = co_await process::start(options, [] {
            for (int c; (c = ::getchar()) != EOF;)
                ::putchar(c + 1);
        });
        injection slow{[&](os::call call) {
            ++count;
            return call == os::call::read || call == os::call::write ? os::verdict{0, 1} : os::verdict{};
        }};
        const bool written = co_await p.write_input(std::string(500, 'a'));
        p.close_input();
        const auto text = co_await all_output(p);
        CHECK(written);
        CHECK(text == std::string(500, 'b'));
    });
    CHECK(count >= 1000);
}

TEST_CASE("no more processes is EAGAIN, and the next start works")
{
    const auto [method, call] = GENERATE(table<start_method, os::call>({{start_method::spawn, os::call::spawn},
                                                                        {start_method::forkserver, os::call::spawn},
                                                                        {start_method::fork, os::call::fork}}));
    INFO("start method " << to_string(method));
    const std::size_t before = without_fork_server();
    {
        injection one{injection::fails(call, EAGAIN)};
        CHECK(await([how = method] { return try_one(how); }) == EAGAIN);
    }
    CHECK(nothing_left(before));
    CHECK(await([how = method] { return try_one(how); }) == 0);
}

TEST_CASE("a fork server that runs out of descriptors says so, and the next start works once it has some")
{
    REQUIRE(await([] { return try_one(start_method::forkserver); }) == 0);
    const pid_t server = detail::this_fork_server().pid();
    rlimit before{}, low{};
    REQUIRE(::prlimit(server, RLIMIT_NOFILE, nullptr, &before) == 0);
    // Its standard streams, socket, file and the spare one for a request, once it has seen the end of the first process.
    REQUIRE(support::eventually([=] { return support::open_descriptors(server).size() == 6; }));
    // One more is needed for the pidfd of the process, and more for its orders.
    const auto free = GENERATE(0u, 1u);
    low = before;
    low.rlim_cur = 6 + free;
    REQUIRE(::prlimit(server, RLIMIT_NOFILE, &low, nullptr) == 0);
    const int result = await([] { return try_one(start_method::forkserver); });
    CAPTURE(free, result);
    CHECK(result == EMFILE);
    REQUIRE(::prlimit(server, RLIMIT_NOFILE, &before, nullptr) == 0);
    CHECK(await([] { return try_one(start_method::forkserver); }) == 0);
}

TEST_CASE("with N descriptors to have, for each N, a start works or fails with EMFILE, and afterwards all is well")
{
    support::time_limit limit{std::chrono::seconds{75}};
    EACH_START_METHOD(method);
    const std::size_t before = without_fork_server();
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    // The lowest numbers are dense here, so that N counts what may still be opened.
    const int base = ::dup(0);
    ::close(base);
    int works = 0, fails = 0;
    for (int n = 0; n <= 40; ++n) {
        CAPTURE(n);
        rlimit low = files;
        low.rlim_cur = static_cast<rlim_t>(base + n);
        ::setrlimit(RLIMIT_NOFILE, &low);
        const int result = await([=] { return try_one(method); });
        ::setrlimit(RLIMIT_NOFILE, &files);
        CHECK((result == 0 || result == EMFILE));
        works += result == 0;
        fails += result != 0;
        REQUIRE(support::eventually([=] { return nothing_left(before); }));
        REQUIRE(await([=] { return try_one(method); }) == 0);
        REQUIRE(nothing_left(before));
    }
    CHECK(works > 5);
    CHECK(fails > 5);
}
