#include "os/packet.hpp"

#include "os/calls.hpp"
#include "os/error.hpp"

#include <cerrno>
#include <poll.h>
#include <sys/socket.h>

namespace coproc::os {

sent send_packet(int socket, std::span<const std::byte> bytes, std::span<const int> descriptors)
{
    if (descriptors.size() > max_descriptors)
        fail(EMSGSIZE, "sending a packet with too many descriptors");
    iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    ancillary room;
    attach(message, room, descriptors);
    if (os::send_message(socket, message, MSG_DONTWAIT) >= 0)
        return sent::yes;
    switch (errno) {
    case EAGAIN: return sent::would_block;
    case EPIPE:
    case ECONNRESET:
    case ENOTCONN: return sent::nobody_listens;
    default: fail("sending a packet");
    }
}

bool send_packet_blocking(int socket, std::span<const std::byte> bytes, std::span<const int> descriptors)
{
    for (;;) {
        switch (send_packet(socket, bytes, descriptors)) {
        case sent::yes: return true;
        case sent::nobody_listens: return false;
        case sent::would_block: break;
        }
        pollfd p{socket, POLLOUT, 0};
        os::poll(&p, 1, -1);
    }
}

packet receive_packet(int socket, std::span<std::byte> to, wait wait)
{
    iovec part{to.data(), to.size()};
    ancillary room;
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = room.bytes.data();
    message.msg_controllen = room.bytes.size();
    ssize_t size = os::receive_message(socket, message, wait == wait::yes ? 0 : MSG_DONTWAIT);
    // A peer that closes with packets of ours unread is told once, ahead of what it had sent before.
    if (size < 0 && errno == ECONNRESET)
        size = os::receive_message(socket, message, wait == wait::yes ? 0 : MSG_DONTWAIT);
    if (size < 0) {
        if (errno == EAGAIN)
            return {received::would_block, 0, {}};
        if (errno == ECONNRESET)
            return {};
        fail("receiving a packet");
    }
    packet result{received::packet, static_cast<std::size_t>(size), take_descriptors(message)};
    if ((message.msg_flags & MSG_CTRUNC) != 0)
        fail(EMFILE, "receiving descriptors");
    if ((message.msg_flags & MSG_TRUNC) != 0)
        fail(EMSGSIZE, "receiving a packet");
    if (size == 0 && result.descriptors.empty())
        return {}; // empty packets are never sent
    return result;
}

bool peek_packet(int socket, std::span<std::byte> to)
{
    iovec part{to.data(), to.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    auto size = os::receive_message(socket, message, MSG_PEEK | MSG_DONTWAIT);
    if (size < 0 && errno != EAGAIN)
        fail("looking for a packet");
    return size == static_cast<ssize_t>(to.size());
}

} // namespace coproc::os
