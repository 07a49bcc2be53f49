// What a process knows of itself.
#pragma once

#include <optional>
#include <string>

namespace coproc {

/// A process by name and id.
struct process_info {
    std::string name;
    int pid = 0;
};

namespace this_process {

[[nodiscard]] int pid() noexcept;
/// "main" in the program's first process, else the name it was started with ("process-1", "worker-2", ...).
[[nodiscard]] const std::string& name() noexcept;
/// Who started this process; nothing in the program's first one. A process ends with its parent unless it was detached.
[[nodiscard]] const std::optional<process_info>& parent() noexcept;

} // namespace this_process
} // namespace coproc
