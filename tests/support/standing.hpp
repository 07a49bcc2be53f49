// What the library keeps for the life of the process once it has been used: no leaks.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace support {

/// One such thing. An empty function means "none of these". Each is asked for what is new since the test case began.
struct standing {
    std::string name; ///< for a person: "the fork server"
    std::function<bool(int number, const std::string& target)> descriptor;
    std::function<bool(pid_t child)> child;
    std::function<bool(pid_t thread, const std::string& name)> thread;
    std::function<bool(const std::string& name)> memory_file; ///< name is "/memfd:NAME (deleted)"
};

/// The list itself; asked once, when the first test case ends.
[[nodiscard]] std::vector<standing> all_standing();

/// Called before a test case, ahead of the look at what is there: makes what would otherwise come with its first use.
void make_what_stands();

/// Called after a test case: ends what the library starts again when it needs it, so that nothing of it need be excused.
void end_what_comes_again();

} // namespace support
