// Pipes that carry a stream of bytes.
#pragma once

#include "os/stream_socket.hpp"

#include <cstddef>
#include <span>

namespace coproc::os {

/// The reading and the writing end of a pipe; neither call waits.
[[nodiscard]] descriptor_pair make_byte_pipe();
/// As send_some of a socket, for bytes alone.
[[nodiscard]] sent_bytes write_some(int pipe, std::span<const std::byte> bytes);
/// As receive_some of a socket.
[[nodiscard]] received_bytes read_some(int pipe, std::span<std::byte> to);

} // namespace coproc::os
