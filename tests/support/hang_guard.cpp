#include "support/hang_guard.hpp"

#include "support/hang_report.hpp"
#include "support/proc.hpp"
#include "support/slowness.hpp"

#define CATCH_CONFIG_EXTERNAL_INTERFACES // listeners
#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace support {
namespace {

constexpr long millisecond = 1, second = 1000 * millisecond;
constexpr long default_limit = 60 * second * slowness;
// Processes that see the end of their parent need a moment to end themselves.
constexpr long grace_for_orphans = 2 * second * slowness;
constexpr long never = -1;
constexpr int exit_code_of_a_hang = 124; // as of timeout(1)

// Written by the test process, read by the guard, also after the test process died.
struct shared_page {
    std::atomic<long> deadline{never}; // on the monotonic clock, in milliseconds
    pid_t guard = 0;
    std::array<char, 512> test_case{};
};
shared_page* page = nullptr;

long now()
{
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * second + time.tv_nsec / 1'000'000;
}

void set_deadline(long deadline)
{
    if (page == nullptr)
        return;
    page->deadline = deadline;
    ::kill(page->guard, SIGUSR1); // it may have to wake earlier than it meant to
}

// A guarded process and all processes that it starts from its own executable have a guard among their ancestors.
bool has_guard()
{
    struct stat own{}, other{};
    if (::stat("/proc/self/exe", &own) != 0)
        return false;
    for (pid_t ancestor = getppid(); ancestor > 1; ancestor = parent_of(ancestor)) {
        const std::string executable = "/proc/" + std::to_string(ancestor) + "/exe";
        if (::stat(executable.c_str(), &other) == 0 && own.st_dev == other.st_dev && own.st_ino == other.st_ino)
            return true;
    }
    return false;
}

class guard {
public:
    guard(pid_t test, const sigset_t& signals) : test_{test}, signals_{signals} {}

    int watch()
    {
        while (!status_) {
            const long deadline = page->deadline;
            if (deadline != never && now() >= deadline) {
                report_hang(getpid(), test_, page->test_case.data());
                kill_all();
                return exit_code_of_a_hang;
            }
            wait_until(deadline);
        }
        const bool left = orphans_left();
        if (WIFSIGNALED(*status_)) {
            std::fprintf(stderr, "\nThe test process died of signal %d (%s) in \"%s\"\n", WTERMSIG(*status_),
                         strsignal(WTERMSIG(*status_)), page->test_case.data());
            return 128 + WTERMSIG(*status_);
        }
        const int code = WEXITSTATUS(*status_);
        return code == 0 && left ? 1 : code;
    }

private:
    // Sleeps until a child ends, a deadline moves, somebody wants the guard to end, or the time has come.
    void wait_until(long deadline)
    {
        siginfo_t info{};
        int signal = 0;
        if (deadline == never)
            signal = sigwaitinfo(&signals_, &info);
        else {
            const long begin = now(), left = std::clamp(deadline - begin, 0L, second);
            const timespec limit{left / second, left % second * 1'000'000};
            signal = sigtimedwait(&signals_, &info, &limit);
            // Time in which not even the guard ran: the machine stood still, and no test could do anything.
            if (const long stood_still = now() - begin - left; stood_still > second)
                page->deadline.compare_exchange_strong(deadline, deadline + stood_still);
        }
        if (signal == SIGTERM || signal == SIGHUP) {
            kill_all();
            std::_Exit(128 + signal);
        }
        reap();
    }

    void reap()
    {
        int status = 0;
        for (pid_t ended; (ended = ::waitpid(-1, &status, WNOHANG)) > 0;)
            if (ended == test_)
                status_ = status;
    }

    // All descendants are the guard's: it is the subreaper of the tree.
    bool orphans_left()
    {
        const long end = now() + grace_for_orphans;
        while (!descendants(getpid()).empty() && now() < end)
            wait_until(std::min(end, now() + 10 * millisecond));
        const auto left = descendants(getpid());
        if (left.empty())
            return false;
        std::fprintf(stderr, "\nLEAK: processes that outlived the test process (last test case \"%s\"):\n", page->test_case.data());
        for (pid_t process : left)
            std::fprintf(stderr, "  %s\n", describe_process(process).c_str());
        kill_all();
        return true;
    }

    // Again and again, since a process may be made while the list is read; its parent is killed in the next round.
    void kill_all()
    {
        const long end = now() + 10 * second;
        for (auto all = descendants(getpid()); !all.empty() && now() < end; all = descendants(getpid())) {
            for (pid_t process : all)
                kill_now(process);
            wait_until(now() + 10 * millisecond);
        }
    }

    pid_t test_;
    sigset_t signals_;
    std::optional<int> status_;
};

sigset_t signals_of_the_guard()
{
    sigset_t set;
    sigemptyset(&set);
    for (int signal : {SIGCHLD, SIGUSR1, SIGTERM, SIGHUP})
        sigaddset(&set, signal);
    return set;
}

struct test_case_timer : Catch::TestEventListenerBase {
    using TestEventListenerBase::TestEventListenerBase;

    void testCaseStarting(const Catch::TestCaseInfo& test) override
    {
        if (page == nullptr)
            return;
        std::strncpy(page->test_case.data(), test.name.c_str(), page->test_case.size() - 1);
        set_deadline(now() + default_limit);
    }

    void testRunEnded(const Catch::TestRunStats&) override { set_deadline(now() + default_limit); } // for the end of the process
};
CATCH_REGISTER_LISTENER(test_case_timer)

} // namespace

void guard_this_program()
{
    const char* variable = std::getenv("COPROC_TEST_GUARD");
    const std::string_view wish = variable == nullptr ? "" : variable;
    if (wish == "off" || (wish != "own" && has_guard()))
        return;

    ::close_range(3, ~0U, 0); // what the shell or ctest forgot to close would look like the tests' own

    void* memory = ::mmap(nullptr, sizeof(shared_page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        throw std::system_error{errno, std::generic_category(), "mmap of the hang guard's page"};
    page = new (memory) shared_page;
    page->guard = getpid();

    const sigset_t signals = signals_of_the_guard();
    sigset_t before;
    sigprocmask(SIG_BLOCK, &signals, &before);
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);

    const pid_t test = ::fork();
    if (test < 0)
        throw std::system_error{errno, std::generic_category(), "fork of the hang guard"};
    if (test == 0) {
        sigprocmask(SIG_SETMASK, &before, nullptr);
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);             // the tests don't outlive their guard
        ::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);    // the guard's gdb may look at us
        return;
    }
    ::prctl(PR_SET_NAME, "hang-guard");
    std::signal(SIGINT, SIG_IGN); // Ctrl-C goes to the test process too, which ends by it
    // No exit handlers: static objects and leak reports are the test process's.
    const int code = guard{test, signals}.watch();
    std::fflush(nullptr);
    std::_Exit(code);
}

time_limit::time_limit(std::chrono::seconds limit) : left_{page == nullptr ? never : page->deadline.load()}
{
    if (left_ != never)
        left_ -= now();
    set_deadline(now() + static_cast<long>(limit.count()) * second * slowness);
}

time_limit::~time_limit() { set_deadline(left_ == never ? never : now() + left_); }

} // namespace support
