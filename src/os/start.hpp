// The three ways to make a process.
#pragma once

#include "os/child.hpp"

#include <string>
#include <vector>

namespace coproc::os {

/// Where a program that spawn started finds the descriptors it was given: the socket, and its own file.
inline constexpr int inherited_socket = 3;
inline constexpr int inherited_executable = 4;

/// Starts the program in the open file `executable` with these arguments and environment ("NAME=value"). It gets the
/// standard streams (its standard input is /dev/null; so is an output that is closed here), the two above, nothing else; no signal is blocked
/// or ignored. `session::own` puts it out of reach of a terminal's signals and of kills of this one's group. Costs the same however large this process is, and may be called with threads running.
enum class session { same, own };
[[nodiscard]] child spawn(const descriptor& executable, const descriptor& socket, const std::vector<std::string>& arguments,
                          const std::vector<std::string>& environment, session = session::same);

/// What clone_sibling and fork_self return: in the new process `is_new`, in the old one `made`.
struct clone_result {
    bool is_new = false;
    child made;
};

/// A copy of this process whose parent is this process's parent, as the fork server makes them. This process must have one
/// thread only; handlers of pthread_atfork do not run.
[[nodiscard]] clone_result clone_sibling();

/// A copy of this process as its child, by libc's fork.
[[nodiscard]] clone_result fork_self();

/// The number of threads of this process.
[[nodiscard]] int thread_count();

/// Ends this process with its parent: the kernel kills it (SIGKILL, which no mask holds back) as soon as the last write
/// end of the pipe `lifeline` is closed. Returns the descriptor that must stay open for this. Throws if it can't be had.
/// Detached processes don't call it.
[[nodiscard]] descriptor die_with(const descriptor& lifeline);
/// Undoes die_with for another process: `number` is the descriptor there.
void outlive(const child& process, int number);

} // namespace coproc::os
