// What a process handle refers to, and the list of all children.
#pragma once

#include "os/child.hpp"
#include "os/descriptor.hpp"

#include <coproc/exit_status.hpp>
#include <coproc/start_method.hpp>
#include <coproc/this_process.hpp>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace coproc::detail {

/// One child of this process, from its start until it is reaped. Thread-safe.
///
/// It is listed as long as it has not been reaped: a handle that is dropped kills the process, and whichever of the next
/// calls comes first reaps it, if it had not ended at once.
class process_state {
public:
    /// `lifeline` is the number of the descriptor there that ties it to this process.
    process_state(std::string name, start_method method, os::child child, int lifeline);

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] start_method method() const noexcept { return method_; }
    [[nodiscard]] int pid() const noexcept { return child_.pid(); }
    [[nodiscard]] int pidfd() const noexcept { return child_.pidfd(); }
    /// Reaps it if it has ended.
    [[nodiscard]] std::optional<exit_status> poll();
    /// Does nothing once it has been reaped.
    void send_signal(int number);
    /// SIGKILL; reaped at once if it ends at once, as it nearly always does.
    void kill_and_reap();
    /// In a forked child: it is a sibling, and not ours to signal or to wait for.
    void abandon() noexcept;
    /// It is no longer killed with this process, but still reaped if it ends before.
    void detach();
    [[nodiscard]] bool detached() const noexcept { return detached_; }

    /// The parent's ends of pipes; empty for what is no pipe.
    void set_streams(std::array<os::descriptor, 3> ends);
    /// One of them; nullptr if it is no pipe or was closed. It stays open as long as the result lives.
    [[nodiscard]] std::shared_ptr<const os::descriptor> stream(int which) const;
    /// From now on there is no standard input; it is closed once nobody uses it any more.
    void close_input();

private:
    std::string name_;
    start_method method_;
    os::child child_;
    int lifeline_;
    std::atomic<bool> detached_{false};
    mutable std::mutex mutex_;
    std::array<std::shared_ptr<os::descriptor>, 3> streams_;
    std::optional<exit_status> status_;
};

/// Makes a state and lists it.
[[nodiscard]] std::shared_ptr<process_state> list_child(std::string name, start_method method, os::child child, int lifeline);
/// Those that have not ended, detached ones too. Reaps the others.
[[nodiscard]] std::vector<std::shared_ptr<process_state>> listed_children();
/// Kills and reaps all but the detached ones.
void kill_children() noexcept;
/// In a forked child: they are the parent's. Handles of them that came along do nothing from now on.
void forget_children() noexcept;

} // namespace coproc::detail
