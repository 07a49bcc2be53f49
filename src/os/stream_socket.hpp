// Sockets that carry a stream of bytes: Unix sockets, whose bytes may have descriptors beside them, and TCP.
#pragma once

#include "os/ancillary.hpp"
#include "os/descriptor.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace coproc::os {

/// Two connected Unix sockets.
[[nodiscard]] descriptor_pair make_stream_pair();

enum class progress { some, would_block, end };

struct sent_bytes {
    progress what = progress::end; ///< end: nobody listens any more
    std::size_t size = 0;
};
/// Sends as many of `bytes` (one at least) as there is room for, without waiting. The descriptors, at most max_descriptors,
/// travel with the first of them, or not at all if none was sent. Throws std::system_error for everything but a full
/// buffer and a peer that is gone. Never raises SIGPIPE.
[[nodiscard]] sent_bytes send_some(int socket, std::span<const std::byte> bytes, std::span<const int> descriptors);

struct received_bytes {
    progress what = progress::end; ///< end: of the stream
    std::size_t size = 0;
    std::vector<descriptor> descriptors; ///< they belong to the last of the bytes; so far the kernel joins nothing behind them
    bool descriptors_lost = false;       ///< some did not fit into this process (EMFILE), and are gone
};
/// Takes what is there, at most `to.size()` bytes, without waiting. Throws std::system_error.
[[nodiscard]] received_bytes receive_some(int socket, std::span<std::byte> to);

} // namespace coproc::os
