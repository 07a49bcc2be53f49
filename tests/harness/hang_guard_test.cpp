// The guard is tested from outside: these tests start their own program again, with a guard of its own, and have it run
// one of the hidden test cases that misbehave.
#include "support/eventually.hpp"
#include "support/hang_guard.hpp"
#include "support/proc.hpp"
#include "support/program.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <cstdlib>
#include <string>

#include <sys/wait.h>
#include <unistd.h>

using namespace std::chrono_literals;
using support::program_result;

namespace {

program_result run_misbehaving(const std::string& test_case)
{
    ::setenv("COPROC_TEST_GUARD", "own", 1);
    auto result = support::run_program("/proc/self/exe", {test_case}, {}, 60s);
    ::unsetenv("COPROC_TEST_GUARD");
    return result;
}

[[noreturn]] void sleep_for_good()
{
    for (;;)
        ::pause();
}

} // namespace

TEST_CASE("misbehave: hang with all signals blocked and a hanging child", "[.misbehave]")
{
    support::time_limit limit{1s};
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, nullptr);
    if (::fork() == 0)
        sleep_for_good();
    sleep_for_good();
}

TEST_CASE("misbehave: die of a signal", "[.misbehave]") { ::kill(::getpid(), SIGKILL); }

TEST_CASE("misbehave: leave a daemon", "[.misbehave]")
{
    if (::fork() == 0) {
        if (::fork() == 0) {
            for (int descriptor = 0; descriptor < 3; ++descriptor)
                ::close(descriptor);
            sleep_for_good();
        }
        ::_exit(0);
    }
    const bool reaped = support::eventually([] { return support::children_of(::getpid()).empty() || ::waitpid(-1, nullptr, WNOHANG) > 0; });
    CHECK(reaped);
}

TEST_CASE("a test that hangs is shown with its descendants, killed with them, and fails")
{
    const auto result = run_misbehaving("misbehave: hang with all signals blocked and a hanging child");
    CHECK_FALSE(result.timed_out);
    CHECK(result.exit_code == 124);
    CHECK_THAT(result.err, Catch::Contains("HANG: \"misbehave: hang with all signals blocked and a hanging child\""));
    CHECK_THAT(result.err, Catch::Contains("<- the test process"));
    const auto first = result.err.find("waits in");
    REQUIRE(first != std::string::npos);
    CHECK(result.err.find("waits in", first + 1) != std::string::npos); // the child too
}

TEST_CASE("a test process that a signal ends fails, and the guard names the signal")
{
    const auto result = run_misbehaving("misbehave: die of a signal");
    CHECK(result.exit_code == 128 + SIGKILL);
    CHECK_THAT(result.err, Catch::Contains("died of signal 9"));
}

TEST_CASE("a process that outlives the test process is a failure, and is ended")
{
    const auto result = run_misbehaving("misbehave: leave a daemon");
    CHECK_FALSE(result.timed_out);
    CHECK(result.exit_code == 1);
    CHECK_THAT(result.err, Catch::Contains("processes that outlived the test process"));
}
