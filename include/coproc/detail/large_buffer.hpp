// Memory for large buffers.
#pragma once

#include <cstddef>

namespace coproc::detail {

/// From this size on, making a buffer's pages costs more than filling them (measured: 28 ms of 40 for 64 MiB), unless they
/// are huge pages, of 2 MiB; with fewer than two of these there is nothing to gain.
inline constexpr std::size_t large_buffer = 4 << 20;

/// Asks for huge pages under fresh memory that is about to be filled. A hint: nothing changes if the system has none.
void expect_large_buffer(void* begin, std::size_t size) noexcept;

} // namespace coproc::detail
