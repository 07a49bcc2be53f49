// A child process as the kernel sees it: a pidfd, signals, how it ended.
#pragma once

#include "os/descriptor.hpp"

#include <optional>
#include <sys/types.h>

namespace coproc::os {

/// How a process ended. Exactly one of the three: an exit code, a signal, or unknown (somebody else had reaped it and the
/// kernel could not tell any more).
struct end {
    int code = -1;   ///< 0 to 255, or -1
    int signal = 0;  ///< the signal that killed it, or 0
    [[nodiscard]] bool unknown() const noexcept { return code < 0 && signal == 0; }
};

/// Translates what waitid says (si_code, si_status); a stop or a continuation is no end.
[[nodiscard]] std::optional<end> decode_end(int reason, int status);

/// A child of this process, known by its pidfd, so that no signal ever reaches a stranger with a recycled pid.
class child {
public:
    child() noexcept = default;
    child(pid_t pid, descriptor pidfd) noexcept : pid_{pid}, pidfd_{std::move(pidfd)} {}

    explicit operator bool() const noexcept { return static_cast<bool>(pidfd_); }
    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    /// Readable once the process has ended.
    [[nodiscard]] int pidfd() const noexcept { return pidfd_.get(); }
    /// False: it has ended already, nobody was signalled.
    bool send_signal(int signal) const;
    /// How it ended, and reaps it; nothing while it runs.
    [[nodiscard]] std::optional<end> try_wait() const;
    /// Waits for its end at most so long (-1: without limit), without reaping it.
    bool ended_within(int milliseconds) const;

private:
    pid_t pid_ = 0;
    descriptor pidfd_;
};

/// Opens a child by its pid: sure to be the right one, as nobody but the parent reaps it. If it can't be opened (no
/// descriptor left, say) it is killed and reaped, as nobody could ever wait for it, and the reason is thrown.
[[nodiscard]] child open_child(pid_t pid);
/// Kills and reaps a child that has no pidfd; waits until it is gone.
void kill_unopened(pid_t pid) noexcept;

} // namespace coproc::os
