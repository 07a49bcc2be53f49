#include "os/child.hpp"

#include "os/calls.hpp"
#include "os/error.hpp"

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

namespace coproc::os {
namespace {

// Linux 6.15 tells how a process ended even after somebody else has reaped it; Debian 12's headers don't know it yet.
// The layout is that of struct pidfd_info in linux/pidfd.h.
struct pidfd_info {
    std::uint64_t mask;
    std::uint64_t cgroup;
    std::uint32_t ids[11];
    std::int32_t exit_code;
};
constexpr std::uint64_t info_exit = 1u << 3;
static_assert(sizeof(pidfd_info) == 64);

end end_of_stranger(int pidfd)
{
    pidfd_info info{};
    info.mask = info_exit;
    if (::ioctl(pidfd, _IOWR(0xFF, 11, pidfd_info), &info) < 0 || (info.mask & info_exit) == 0)
        return {};
    if (WIFSIGNALED(info.exit_code))
        return {-1, WTERMSIG(info.exit_code)};
    return {WEXITSTATUS(info.exit_code), 0};
}

} // namespace

std::optional<end> decode_end(int reason, int status)
{
    switch (reason) {
    case CLD_EXITED: return end{status, 0};
    case CLD_KILLED:
    case CLD_DUMPED: return end{-1, status};
    default: return std::nullopt;
    }
}

bool child::send_signal(int signal) const
{
    if (::syscall(SYS_pidfd_send_signal, pidfd_.get(), signal, nullptr, 0) == 0)
        return true;
    if (errno == ESRCH)
        return false;
    fail("signalling a process");
}

std::optional<end> child::try_wait() const
{
    siginfo_t info{};
    constexpr auto by_pidfd = static_cast<idtype_t>(3); // P_PIDFD
    while (::waitid(by_pidfd, static_cast<id_t>(pidfd_.get()), &info, WEXITED | WNOHANG | __WALL) < 0) {
        if (errno == EINTR)
            continue;
        if (errno != ECHILD)
            fail("waiting for a process");
        return ended_within(0) ? std::optional{end_of_stranger(pidfd_.get())} : std::nullopt;
    }
    return info.si_pid == 0 ? std::nullopt : decode_end(info.si_code, info.si_status);
}

bool child::ended_within(int milliseconds) const
{
    pollfd p{pidfd_.get(), POLLIN, 0};
    return os::poll(&p, 1, milliseconds) == 1;
}

void kill_unopened(pid_t pid) noexcept
{
    ::kill(pid, SIGKILL);
    while (::waitpid(pid, nullptr, __WALL) < 0 && errno == EINTR) {}
}

child open_child(pid_t pid)
{
    try {
        int number = os::open_process(pid);
        if (number < 0)
            fail("opening a process");
        descriptor pidfd{number};
        if (number <= 2)
            pidfd = pidfd.duplicate();
        return child{pid, std::move(pidfd)};
    } catch (const std::system_error&) {
        kill_unopened(pid);
        throw;
    }
}

} // namespace coproc::os
