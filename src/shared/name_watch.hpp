// Who removes the names of shared memory when their owners can't: a process of its own.
//
// It is this program, started again and stopped before main; it waits for the end of its parent on a pidfd, removes all names
// that have lost their owners (see os/named_memory.hpp), and ends. Each process that owns a name has one. It is in a session
// of its own, so that what kills the whole group of a program spares it. Should it be killed as well, the names are removed by
// whoever next makes or opens one of them, or ends with a watch of its own.
#pragma once

namespace coproc::detail {

/// One more thing with a name is owned here: sees to it that the watch runs. Throws std::system_error.
void begin_name_watch();
/// One less. `settled`: its name is gone, or other processes' business. With the last, if all were, the watch ends.
void end_name_watch(bool settled) noexcept;
/// 0 if there is none. For tests.
[[nodiscard]] int name_watch_pid();

} // namespace coproc::detail
