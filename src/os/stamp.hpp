// What tells a process from the copies that fork makes of it.
#pragma once

#include <cstdint>

namespace coproc::os {

/// A number that is this process's own: a copy of it, however it was made (fork, a bare clone), gets another one. Not zero.
/// Cost: reads one word, but for the first call.
[[nodiscard]] std::uint64_t process_stamp() noexcept;

} // namespace coproc::os
