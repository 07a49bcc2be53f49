// A copy of the test's process by a bare fork, which knows what the test knows.
#pragma once

#include "process/loop.hpp"

#include <functional>
#include <utility>

#include <csignal>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace tests {

/// Ends with what `body` returns. Killed and reaped with this object, if not before.
class copy_of_this {
public:
    explicit copy_of_this(const std::function<int()>& body) : pid_{::fork()}
    {
        if (pid_ == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL); // also if the test is killed
            coproc::detail::forget_loops(); // it shares an epoll instance with its original
            ::_exit(body());
        }
    }
    ~copy_of_this()
    {
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            end();
        }
    }
    copy_of_this(const copy_of_this&) = delete;
    copy_of_this& operator=(const copy_of_this&) = delete;

    [[nodiscard]] pid_t pid() const { return pid_; }
    /// Waits for it; gives what waitpid says.
    int end()
    {
        int status = 0;
        ::waitpid(std::exchange(pid_, -1), &status, 0);
        return status;
    }

private:
    pid_t pid_;
};

} // namespace tests
