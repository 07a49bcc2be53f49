#include "sync/parties.hpp"

#include "support/slowness.hpp"

#include <csignal>
#include <sys/ptrace.h>
#include <sys/wait.h>

namespace sync_test {
namespace {

#ifdef COPROC_TEST_IS_SANITIZED
constexpr int sparse = 7;
#else
constexpr int sparse = 1;
#endif

bool is_stopped(int status, int signal) { return WIFSTOPPED(status) && WSTOPSIG(status) == signal; }

} // namespace

int killed_after_each_instruction(const life_of_a_copy& life)
{
    for (int count = 0;; count += life.each * sparse) {
        life.prepare();
        pid_t child = ::fork();
        if (child == 0) {
            if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0)
                ::_exit(1);
            life.first();
            ::raise(SIGSTOP);
            life.body();
            ::raise(SIGSTOP);
            ::_exit(0);
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        if (!is_stopped(status, SIGSTOP))
            return 0;
        bool done = false;
        for (int i = 0; i < count && !done; ++i) {
            if (::ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) != 0 || ::waitpid(child, &status, 0) != child)
                break;
            done = !is_stopped(status, SIGTRAP);
        }
        ::kill(child, SIGKILL);
        ::waitpid(child, &status, 0);
        life.check(count);
        if (done)
            return count;
    }
}

} // namespace sync_test
