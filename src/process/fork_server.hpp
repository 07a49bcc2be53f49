// The fork server: this program, started once more and stopped before the user's code, from which processes are cloned.
//
// It is single-threaded and small, so cloning it is fast whatever the parent has grown to. It has one socket; a request is
// one packet with the control socket of the process to be. It holds a pidfd of each process it made, and kills them all
// when its own parent is gone: a second safety net under the lifeline of each process (see the design page).
#pragma once

#include "os/child.hpp"
#include "process/launch.hpp"

#include <mutex>
#include <string>
#include <vector>

namespace coproc::detail {

/// The side of whoever wants processes. Thread-safe.
class fork_server {
public:
    /// Asks for a process that will read its order from `control`; starts the server if there is none.
    /// Throws std::system_error, or error if no server stays alive; the answer comes over the control socket.
    void request(const os::descriptor& control);
    /// What has changed in this process's environment since the server, which has a copy, was started; nothing if there is
    /// none. Should it be started anew meanwhile, they do no harm.
    [[nodiscard]] environment_changes changes_of_environment() const;
    /// The server shall not kill this process when the parent dies.
    void forget(int pid);
    /// In words, for the case that a request had no answer; the server that is gone is reaped.
    [[nodiscard]] std::string why_it_ended();
    /// Ends it and waits until it is gone. The next request starts another one.
    void stop();
    /// In a new process: the server of the parent is not ours. Closes what was inherited.
    void disown() noexcept;
    /// 0 if there is none. For tests and tools.
    [[nodiscard]] int pid() const;

private:
    void start();
    void reap();

    mutable std::mutex mutex_;
    os::descriptor requests_;
    os::child process_;
    std::vector<std::string> environment_;
    std::string reason_ = "the fork server was not reached";
};

[[nodiscard]] fork_server& this_fork_server();

/// The side of the server: serves requests until the parent is gone. In each clone it calls become_child and so never
/// returns there either.
[[noreturn]] void serve_forks(os::descriptor requests);

} // namespace coproc::detail
