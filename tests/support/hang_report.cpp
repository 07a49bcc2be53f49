#include "support/hang_report.hpp"

#include "support/proc.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace support {
namespace {

using namespace std::chrono_literals;

constexpr auto gdb_limit_for_one = 15s; // it reads the debug information of a large test program
constexpr auto gdb_limit_for_all = 40s;

void print_threads(pid_t process)
{
    for (const auto& [thread, name] : threads_of(process)) {
        const std::string folder = "/proc/" + std::to_string(process) + "/task/" + std::to_string(thread) + '/';
        std::fprintf(stderr, "    thread %d (%s) waits in %s, system call %s", thread, name.c_str(), read_text(folder + "wchan").c_str(),
                     read_text(folder + "syscall").c_str());
        std::fprintf(stderr, "%s", read_text(folder + "stack").c_str()); // root only, and not in every container
    }
}

void print_descriptors(pid_t process)
{
    for (const auto& [number, target] : open_descriptors(process))
        std::fprintf(stderr, "    descriptor %d: %s\n", number, target.c_str());
}

void print_stacks(pid_t process, std::chrono::seconds limit)
{
    const std::string command = "timeout -k 1 " + std::to_string(limit.count()) + " gdb -batch -nx -p " + std::to_string(process) +
                                " -ex 'set pagination off' -ex 'thread apply all backtrace 40' </dev/null 2>/dev/null"
                                " | grep -E '^(Thread|#)' >&2";
    std::fflush(stderr);
    // timeout(1) waits for SIGCHLD, and children inherit what the guard has blocked.
    sigset_t child_ended, before;
    sigemptyset(&child_ended);
    sigaddset(&child_ended, SIGCHLD);
    sigprocmask(SIG_UNBLOCK, &child_ended, &before);
    if (std::system(command.c_str()) != 0) // grep found nothing
        std::fprintf(stderr, "    (no stacks: gdb failed or took too long)\n");
    sigprocmask(SIG_SETMASK, &before, nullptr);
}

} // namespace

void report_hang(pid_t guard, pid_t test, const char* test_case)
{
    using clock = std::chrono::steady_clock;
    std::fprintf(stderr, "\nHANG: \"%s\" did not end in time.\n", test_case);
    const bool gdb = std::system("command -v gdb timeout >/dev/null") == 0;
    const auto end = clock::now() + gdb_limit_for_all;
    for (pid_t process : descendants(guard)) {
        std::fprintf(stderr, "  %s%s\n", describe_process(process).c_str(), process == test ? "  <- the test process" : "");
        if (has_ended(process))
            continue;
        print_threads(process);
        print_descriptors(process);
        const auto left = std::chrono::duration_cast<std::chrono::seconds>(end - clock::now());
        if (gdb && left > 0s)
            print_stacks(process, std::min(left, std::chrono::seconds{gdb_limit_for_one}));
    }
    if (!gdb)
        std::fprintf(stderr, "  (gdb is not installed: no stacks of threads)\n");
    std::fflush(stderr);
}

} // namespace support
