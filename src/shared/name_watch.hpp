// Who removes the names of shared memory when their owners can't: a process of its own.
//
// It is this program, started again and stopped before main; it waits for the end of its parent on a pidfd, removes all names
// that have lost their owners (see os/named_memory.hpp), and ends. Each process that owns a name has one. It is in a session
// of its own, so that what kills the whole group of a program spares it. Should it be killed as well, the names are removed by
// whoever next makes or opens one of them, or ends with a watch of its own.
//
//     owner -> watch   packets on a socket: a pidfd of the owner, then a name each
//
// Names of the owner that others own at its end may be on their way to a process that is being killed too, and so has no watch
// yet: the watch leaves a process for each, which waits for the lock, for half a minute at most.
#pragma once

#include <string>

namespace coproc::detail {

/// One more thing with a name is owned here: sees to it that a watch runs, and knows the name (when it is not empty yet).
/// Throws std::system_error.
void begin_name_watch(const std::string& name);
void tell_name_watch(const std::string& name);
/// One less. When all names that were owned here are gone, or owned by nobody, the watch ends.
void end_name_watch(const std::string& name) noexcept;
/// 0 if there is none. For tests.
[[nodiscard]] int name_watch_pid();

} // namespace coproc::detail
