// Copies of this process and what ties them to it. (spawn and clone_sibling are tested in room process, where a program
// answers them.)
#include "os/start.hpp"
#include "support/eventually.hpp"
#include "support/injection.hpp"
#include "support/proc.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace coproc;

namespace {

// A copy that is bound to `lifeline` and says so by ending `ready`'s write end.
os::child bound_copy(const os::descriptor_pair& lifeline, os::descriptor_pair& ready, bool blocks_signals = false)
{
    auto result = os::fork_self();
    if (result.is_new) {
        ::close(lifeline.second.get());
        if (blocks_signals) {
            sigset_t all;
            sigfillset(&all);
            sigprocmask(SIG_SETMASK, &all, nullptr);
        }
        const auto held = os::die_with(lifeline.first);
        const int number = held.get();
        if (::write(ready.second.get(), &number, sizeof number) != sizeof number)
            ::_exit(1);
        for (;;)
            ::pause();
    }
    return std::move(result.made);
}

int read_number(const os::descriptor& from)
{
    int number = -1;
    REQUIRE(::read(from.get(), &number, sizeof number) == sizeof number);
    return number;
}

} // namespace

TEST_CASE("a process ends when the last write end of its lifeline is closed, whatever signals it blocks", "[os]")
{
    const bool blocks = GENERATE(false, true);
    auto lifeline = os::make_pipe();
    auto ready = os::make_pipe();
    const os::child child = bound_copy(lifeline, ready, blocks);
    read_number(ready.first);
    CHECK_FALSE(child.ended_within(0));
    lifeline.second.reset();
    CHECK(child.ended_within(-1));
    CHECK(child.try_wait()->signal == SIGKILL);
}

TEST_CASE("each of several processes on one lifeline ends with it", "[os]")
{
    auto lifeline = os::make_pipe();
    auto ready = os::make_pipe();
    std::vector<os::child> children;
    for (int i = 0; i < 5; ++i) {
        children.push_back(bound_copy(lifeline, ready));
        read_number(ready.first);
    }
    lifeline.second.reset();
    for (auto& child : children) {
        CHECK(child.ended_within(-1));
        CHECK(child.try_wait()->signal == SIGKILL);
    }
}

TEST_CASE("a process whose parent died before it was bound to it ends at once", "[os]")
{
    auto lifeline = os::make_pipe();
    lifeline.second.reset();
    auto result = os::fork_self();
    if (result.is_new) {
        const auto held = os::die_with(lifeline.first);
        ::_exit(0);
    }
    CHECK(result.made.ended_within(-1));
    CHECK(result.made.try_wait()->signal == SIGKILL);
}

TEST_CASE("a process that may outlive its lifeline does", "[os]")
{
    auto lifeline = os::make_pipe();
    auto ready = os::make_pipe();
    const os::child free = bound_copy(lifeline, ready);
    os::outlive(free, read_number(ready.first));
    const os::child bound = bound_copy(lifeline, ready);
    read_number(ready.first);
    lifeline.second.reset();
    CHECK(bound.ended_within(-1)); // the same event would have ended the other one
    CHECK(bound.try_wait());
    CHECK_FALSE(free.ended_within(0));
    CHECK(free.send_signal(SIGTERM));
    CHECK(free.ended_within(-1));
    CHECK(free.try_wait()->signal == SIGTERM);
}

TEST_CASE("a lifeline that can't be opened is an error", "[os]")
{
    const auto lifeline = os::make_pipe();
    support::injection one{support::injection::fails(os::call::open, EMFILE)};
    CHECK_THROWS_AS(os::die_with(lifeline.first), std::system_error);
}

TEST_CASE("threads are counted", "[os]")
{
    CHECK(os::thread_count() == 1);
    std::atomic<bool> done{false};
    std::thread other{[&] { done.wait(false); }};
    CHECK(os::thread_count() == 2);
    done = true;
    done.notify_all();
    other.join();
    CHECK(support::eventually([] { return os::thread_count() == 1; }));
}

TEST_CASE("a clone is a complete process: its thread, mutexes, signals and further forks work", "[os]")
{
    // A clone's parent is its maker's parent, so that the maker here is a copy, and this process reaps the clone.
    auto report = os::make_pipe();
    auto maker = os::fork_self();
    if (maker.is_new) {
        auto clone = os::clone_sibling();
        if (!clone.is_new) {
            const int pid = clone.made.pid();
            ::_exit(::write(report.second.get(), &pid, sizeof pid) == sizeof pid ? 0 : 1);
        }
        int wrong = 0;
        int from_thread = 0;
        std::thread{[&] { from_thread = 1; }}.join();
        wrong += from_thread != 1;
        wrong += ::pthread_kill(::pthread_self(), 0) != 0; // libc knows this thread by its number
        const pid_t grandchild = ::fork();
        if (grandchild == 0)
            ::_exit(5);
        int status = 0;
        wrong += ::waitpid(grandchild, &status, 0) != grandchild || WEXITSTATUS(status) != 5;
        try {
            throw 1;
        } catch (int) {
        }
        std::signal(SIGABRT, SIG_DFL);
        if (wrong == 0)
            std::abort(); // which signals this very thread
        ::_exit(wrong);
    }
    CHECK(maker.made.ended_within(-1));
    CHECK(maker.made.try_wait()->code == 0);
    const os::child clone = os::open_child(read_number(report.first));
    CHECK(clone.ended_within(-1));
    CHECK(clone.try_wait()->signal == SIGABRT);
}

TEST_CASE("a robust mutex whose owner is a clone that died tells so", "[os]")
{
    void* memory = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    auto* mutex = static_cast<pthread_mutex_t*>(memory);
    pthread_mutexattr_t attributes;
    ::pthread_mutexattr_init(&attributes);
    ::pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    ::pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    ::pthread_mutex_init(mutex, &attributes);

    auto report = os::make_pipe();
    auto maker = os::fork_self();
    if (maker.is_new) {
        auto clone = os::clone_sibling();
        if (!clone.is_new) {
            const int pid = clone.made.pid();
            ::_exit(::write(report.second.get(), &pid, sizeof pid) == sizeof pid ? 0 : 1);
        }
        ::_exit(::pthread_mutex_lock(mutex)); // and ends with it
    }
    CHECK(maker.made.ended_within(-1));
    CHECK(maker.made.try_wait());
    const os::child clone = os::open_child(read_number(report.first));
    CHECK(clone.ended_within(-1));
    CHECK(clone.try_wait()->code == 0);
    CHECK(::pthread_mutex_lock(mutex) == EOWNERDEAD);
    ::pthread_mutex_consistent(mutex);
    ::pthread_mutex_unlock(mutex);
    ::munmap(memory, 4096);
}

TEST_CASE("a clone that the system refuses is its errno", "[os]")
{
    const int error = GENERATE(EAGAIN, ENOMEM, EMFILE);
    support::injection one{support::injection::fails(os::call::clone, error)};
    try {
        static_cast<void>(os::clone_sibling());
        FAIL("nothing was thrown");
    } catch (const std::system_error& e) {
        CHECK(e.code().value() == error);
    }
}
