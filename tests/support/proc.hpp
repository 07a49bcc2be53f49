// What the kernel says about processes, read from /proc. All of it is a snapshot that may be out of date at once: wait
// for a state with support::eventually. A process that is gone reads as empty, never as an error.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <sys/types.h>

namespace support {

/// The whole of a file of /proc, or as much of it as could be read.
[[nodiscard]] std::string read_text(const std::string& file);

/// The direct children of `parent`, zombies included, in order of their numbers.
[[nodiscard]] std::vector<pid_t> children_of(pid_t parent);

/// Children, their children and so on, zombies included. A process whose parent died belongs to another (see
/// hang_guard.hpp) and is no descendant any more.
[[nodiscard]] std::vector<pid_t> descendants(pid_t ancestor);

/// Descriptor number → what it refers to ("/a/file", "pipe:[1234]", "/memfd:name (deleted)", "anon_inode:[eventpoll]").
/// The descriptor by which this very list is read is left out.
[[nodiscard]] std::map<int, std::string> open_descriptors(pid_t process);
/// How many this process may have.
[[nodiscard]] int descriptor_limit();

/// Thread numbers of the process and their names.
[[nodiscard]] std::map<pid_t, std::string> threads_of(pid_t process);

/// Mappings of anonymous memory files, once for each file: inode → "/memfd:name (deleted)"; without the table that every
/// program has.
[[nodiscard]] std::map<unsigned long, std::string> memory_files_mapped_by(pid_t process);

/// One letter as in ps: R, S, D, T (stopped), Z (ended, not yet reaped); '\0' if there is no such process.
[[nodiscard]] char state_of(pid_t process);

/// True once the process has ended, reaped or not.
[[nodiscard]] bool has_ended(pid_t process);

[[nodiscard]] pid_t parent_of(pid_t process);
[[nodiscard]] std::string name_of(pid_t process);
[[nodiscard]] std::string command_line_of(pid_t process);

/// One line for a person: number, state, parent, name, command line.
[[nodiscard]] std::string describe_process(pid_t process);

/// kill -9. Without effect if there is no such process.
void kill_now(pid_t process);

} // namespace support
