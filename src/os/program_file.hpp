// The one memory file that all processes of a program have.
#pragma once

#include "os/descriptor.hpp"

#include <cstddef>

namespace coproc::os {

/// Larger than anybody needs; pages that nobody touches take no memory.
inline constexpr std::size_t program_file_size = 1 << 20;

/// This process's descriptor of it. The first process makes it, zero-filled, when somebody first asks; every other one was
/// given it when it was started. Throws std::system_error when it can't be made.
[[nodiscard]] int program_file();
/// In a new process: what its parent has.
void adopt_program_file(descriptor file);

} // namespace coproc::os
