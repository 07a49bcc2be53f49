// A child as the kernel sees it, and how it ended.
#include "os/child.hpp"
#include "os/start.hpp"
#include "support/eventually.hpp"
#include "support/injection.hpp"
#include "support/proc.hpp"

#include <catch2/catch.hpp>

#include <cerrno>
#include <csignal>
#include <system_error>

#include <sys/wait.h>
#include <unistd.h>

using namespace coproc;

namespace {

template <class F>
os::child forked(F f)
{
    auto result = os::fork_self();
    if (result.is_new) {
        f();
        ::_exit(0);
    }
    return std::move(result.made);
}

os::child sleeper()
{
    return forked([] {
        for (;;)
            ::pause();
    });
}

void kill_and_reap(const os::child& child)
{
    child.send_signal(SIGKILL);
    child.ended_within(-1);
    static_cast<void>(child.try_wait());
}

// The kernel before Linux 6.15 forgets how a process ended once somebody has reaped it.
bool is_code_or_unknown(const std::optional<os::end>& end, int code)
{
    return end && (end->unknown() || (end->code == code && end->signal == 0));
}

} // namespace

TEST_CASE("what waitid says is decoded: an exit, a signal, a core dump", "[os]")
{
    CHECK(os::decode_end(CLD_EXITED, 7)->code == 7);
    CHECK(os::decode_end(CLD_EXITED, 7)->signal == 0);
    CHECK(os::decode_end(CLD_KILLED, SIGKILL)->signal == SIGKILL);
    CHECK(os::decode_end(CLD_KILLED, SIGKILL)->code == -1);
    CHECK(os::decode_end(CLD_DUMPED, SIGSEGV)->signal == SIGSEGV);
}

TEST_CASE("a stopped or continued process has not ended", "[os][PRC-055]")
{
    CHECK_FALSE(os::decode_end(CLD_STOPPED, SIGSTOP));
    CHECK_FALSE(os::decode_end(CLD_TRAPPED, SIGTRAP));
    CHECK_FALSE(os::decode_end(CLD_CONTINUED, SIGCONT));

    const os::child child = sleeper();
    REQUIRE(child.send_signal(SIGSTOP));
    REQUIRE(support::eventually([&] { return support::state_of(child.pid()) == 'T'; }));
    CHECK_FALSE(child.try_wait());
    CHECK_FALSE(child.ended_within(0));
    REQUIRE(child.send_signal(SIGCONT));
    REQUIRE(child.send_signal(SIGTERM));
    CHECK(child.ended_within(-1));
    CHECK(child.try_wait()->signal == SIGTERM);
}

TEST_CASE("every exit code from 0 to 255 comes out as it went in", "[os][PRC-054]")
{
    for (int code = 0; code <= 255; ++code) {
        const os::child child = forked([=] { ::_exit(code); });
        REQUIRE(child.ended_within(-1));
        const auto end = child.try_wait();
        REQUIRE(end);
        REQUIRE(end->code == code);
        REQUIRE(end->signal == 0);
    }
}

TEST_CASE("a process that a signal ended tells which", "[os][PRC-020]")
{
    const int number = GENERATE(SIGTERM, SIGKILL, SIGUSR1, SIGABRT);
    const os::child child = forked([=] {
        std::signal(number, SIG_DFL);
        ::raise(number);
    });
    CHECK(child.ended_within(-1));
    CHECK(child.try_wait()->signal == number);
}

TEST_CASE("a child that ended is no zombie once it was asked for", "[os]")
{
    const os::child child = forked([] {});
    CHECK(child.ended_within(-1));
    CHECK(child.ended_within(0)); // waiting does not reap
    CHECK(support::state_of(child.pid()) == 'Z');
    CHECK(child.try_wait());
    CHECK(support::state_of(child.pid()) == '\0');
}

TEST_CASE("a signal to a child that has ended reaches nobody", "[os]")
{
    const os::child child = forked([] {});
    CHECK(child.ended_within(-1));
    CHECK(child.try_wait());
    CHECK_FALSE(child.send_signal(SIGKILL));
}

TEST_CASE("a child that other code reaped has ended: with its code or as unknown, never as 0", "[os][SIG-007]")
{
    const os::child child = forked([] { ::_exit(7); });
    while (::waitpid(-1, nullptr, 0) != child.pid()) {}
    CHECK(is_code_or_unknown(child.try_wait(), 7));
    CHECK(child.ended_within(0));
}

TEST_CASE("with SIGCHLD ignored a child's end is still noticed", "[os]")
{
    const auto before = std::signal(SIGCHLD, SIG_IGN);
    const os::child child = sleeper();
    CHECK_FALSE(child.try_wait());
    CHECK(child.send_signal(SIGKILL));
    CHECK(child.ended_within(-1));
    REQUIRE(support::eventually([&] { return child.try_wait().has_value(); }));
    const auto end = child.try_wait();
    CHECK((end->unknown() || end->signal == SIGKILL));
    std::signal(SIGCHLD, before);
}

TEST_CASE("a child whose pidfd can't be had is not left behind: it is killed, reaped, and the error is the kernel's", "[os]")
{
    const int error = GENERATE(EMFILE, ENOMEM, ENOSYS);
    support::injection one{support::injection::fails(os::call::open_process, error)};
    try {
        kill_and_reap(sleeper());
        FAIL("nothing was thrown");
    } catch (const std::system_error& e) {
        CHECK(e.code().value() == error);
    }
    CHECK(support::children_of(::getpid()).empty());
}

TEST_CASE("a fork that the system refuses is EAGAIN", "[os]")
{
    support::injection one{support::injection::fails(os::call::fork, EAGAIN)};
    try {
        kill_and_reap(sleeper());
        FAIL("nothing was thrown");
    } catch (const std::system_error& e) {
        CHECK(e.code() == std::errc::resource_unavailable_try_again);
    }
}

TEST_CASE("other processes of the program stay its own: waiting for ours does not reap them", "[os]")
{
    const pid_t foreign = ::fork();
    if (foreign == 0)
        ::_exit(42);
    const os::child ours = forked([] {});
    CHECK(ours.ended_within(-1));
    CHECK(ours.try_wait());
    int status = 0;
    REQUIRE(::waitpid(foreign, &status, 0) == foreign);
    CHECK(WEXITSTATUS(status) == 42);
}
