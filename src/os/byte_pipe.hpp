// Pipes that carry a stream of bytes.
#pragma once

#include "os/stream_socket.hpp"

#include <cstddef>
#include <span>

namespace coproc::os {

/// The reading and the writing end of a pipe; neither call waits.
[[nodiscard]] descriptor_pair make_byte_pipe();
/// Room in a pipe, in bytes, and in one for large messages. All pipes of a user share a limit (64 MiB without privileges).
inline constexpr std::size_t usual_pipe = 64 * 1024, wide_pipe = 256 * 1024;
/// Makes it a wide one, if there is still room for that.
void widen_pipe(int pipe) noexcept;
/// As send_some of a socket, for bytes alone.
[[nodiscard]] sent_bytes write_some(int pipe, std::span<const std::byte> bytes);
/// As receive_some of a socket.
[[nodiscard]] received_bytes read_some(int pipe, std::span<std::byte> to);

} // namespace coproc::os
