// Masks, dispositions, and signals that end a program in order.
#include "os/signals.hpp"

#include <catch2/catch.hpp>

#include <csignal>

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace coproc;

namespace {

// Runs `f` in a copy of this process, where signals may be changed and deadly; returns its wait status.
template <class F>
int in_a_copy(F f)
{
    const pid_t child = ::fork();
    if (child == 0)
        ::_exit(f());
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    return status;
}

void do_nothing(int) {}

auto disposition_of(int number)
{
    struct sigaction now{};
    ::sigaction(number, nullptr, &now);
    return now.sa_handler;
}

bool is_readable(const os::descriptor& d)
{
    pollfd p{d.get(), POLLIN, 0};
    return ::poll(&p, 1, 0) == 1;
}

int next_byte(const os::descriptor& d)
{
    unsigned char byte = 0;
    return ::read(d.get(), &byte, 1) == 1 ? byte : -1;
}

} // namespace

TEST_CASE("reset signals are unblocked, without handlers, and stay ignored where they were", "[os]")
{
    const int status = in_a_copy([] {
        sigset_t all;
        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, nullptr);
        std::signal(SIGUSR1, do_nothing);
        std::signal(SIGHUP, SIG_IGN);
        os::reset_signals();
        sigset_t now;
        sigprocmask(SIG_SETMASK, nullptr, &now);
        for (int number = 1; number < NSIG; ++number)
            if (sigismember(&now, number) == 1)
                return 1;
        if (disposition_of(SIGUSR1) != SIG_DFL)
            return 2;
        return disposition_of(SIGHUP) == SIG_IGN ? 0 : 3;
    });
    CHECK(status == 0);
}

TEST_CASE("broken pipes are ignored, but a handler of the program's own is left alone", "[os]")
{
    const int status = in_a_copy([] {
        std::signal(SIGPIPE, SIG_DFL);
        os::ignore_broken_pipes();
        if (disposition_of(SIGPIPE) != SIG_IGN)
            return 1;
        std::signal(SIGPIPE, do_nothing);
        os::ignore_broken_pipes();
        return disposition_of(SIGPIPE) == do_nothing ? 0 : 2;
    });
    CHECK(status == 0);
}

TEST_CASE("the first SIGINT or SIGTERM is a byte in the pipe", "[os]")
{
    const int number = GENERATE(SIGINT, SIGTERM);
    const int status = in_a_copy([=] {
        std::signal(number, SIG_DFL);
        os::interrupt_pipe interrupts;
        if (is_readable(interrupts.readable()))
            return 1;
        ::raise(number);
        if (!is_readable(interrupts.readable()))
            return 2;
        return next_byte(interrupts.readable()) == number ? 0 : 3;
    });
    CHECK(status == 0);
}

TEST_CASE("the second one has its default action", "[os]")
{
    const int number = GENERATE(SIGINT, SIGTERM);
    const int status = in_a_copy([=] {
        std::signal(number, SIG_DFL);
        os::interrupt_pipe interrupts;
        ::raise(number);
        ::raise(number);
        return 0;
    });
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == number);
}

TEST_CASE("an interrupt pipe catches nothing that the program handles or ignores itself", "[os]")
{
    const int status = in_a_copy([] {
        std::signal(SIGINT, do_nothing);
        std::signal(SIGTERM, SIG_IGN);
        {
            os::interrupt_pipe interrupts;
            ::raise(SIGINT);
            ::raise(SIGTERM);
            if (is_readable(interrupts.readable()))
                return 1;
        }
        return disposition_of(SIGINT) == do_nothing && disposition_of(SIGTERM) == SIG_IGN ? 0 : 2;
    });
    CHECK(status == 0);
}

TEST_CASE("an interrupt pipe that ends gives the default actions back", "[os]")
{
    const int status = in_a_copy([] {
        std::signal(SIGINT, SIG_DFL);
        std::signal(SIGTERM, SIG_DFL);
        { os::interrupt_pipe interrupts; }
        return disposition_of(SIGINT) == SIG_DFL && disposition_of(SIGTERM) == SIG_DFL ? 0 : 1;
    });
    CHECK(status == 0);
}

TEST_CASE("a SIGINT that a process sent ends even a process that leaves a terminal's to its parent", "[os]")
{
    const int status = in_a_copy([] {
        os::leave_terminal_interrupts();
        ::raise(SIGINT);
        return 0;
    });
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGINT);
}
