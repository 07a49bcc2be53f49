// Packets with descriptors over Unix sockets (SOCK_SEQPACKET).
#pragma once

#include "os/ancillary.hpp"
#include "os/descriptor.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace coproc::os {

enum class sent { yes, would_block, nobody_listens };
/// Sends one packet, whole or not at all, without waiting. The descriptors stay the caller's; the receiver gets copies.
/// Throws std::system_error for everything but a full buffer and a peer that is gone.
sent send_packet(int socket, std::span<const std::byte> bytes, std::span<const int> descriptors);
/// As send_packet, but waits while the buffer is full. False: nobody listens.
bool send_packet_blocking(int socket, std::span<const std::byte> bytes, std::span<const int> descriptors);

enum class received { packet, would_block, end };
struct packet {
    received what = received::end;
    std::size_t size = 0;
    std::vector<descriptor> descriptors;
};
enum class wait { no, yes };
/// Takes one packet into `to`. A packet that is larger than `to`, or whose descriptors did not fit into this process
/// (EMFILE), is an error: nothing is handed on in part.
[[nodiscard]] packet receive_packet(int socket, std::span<std::byte> to, wait);
/// Copies the beginning of the next packet into `to`, without waiting; the packet stays. False: there is none.
[[nodiscard]] bool peek_packet(int socket, std::span<std::byte> to);

} // namespace coproc::os
