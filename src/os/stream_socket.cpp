#include "os/stream_socket.hpp"

#include "os/calls.hpp"
#include "os/error.hpp"

#include <cerrno>
#include <sys/uio.h>

namespace coproc::os {

descriptor_pair make_stream_pair()
{
    int ends[2];
    if (os::make_socket_pair(SOCK_STREAM, ends) < 0)
        fail("making a socket pair");
    return adopt_pair(ends, "making a socket pair");
}

sent_bytes send_some(int socket, std::span<const std::byte> bytes, std::span<const int> descriptors)
{
    ssize_t size;
    if (descriptors.empty()) { // cheaper: nothing is copied but the bytes
        size = os::send(socket, bytes.data(), bytes.size(), MSG_DONTWAIT);
    } else {
        iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        ancillary room;
        attach(message, room, descriptors);
        size = os::send_message(socket, message, MSG_DONTWAIT);
    }
    if (size >= 0)
        return {progress::some, static_cast<std::size_t>(size)};
    switch (errno) {
    case EAGAIN: return {progress::would_block, 0};
    case EPIPE:
    case ECONNRESET:
    case ENOTCONN: return {progress::end, 0};
    default: fail("sending a message");
    }
}

received_bytes receive_some(int socket, std::span<std::byte> to)
{
    iovec part{to.data(), to.size()};
    ancillary room;
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = room.bytes.data();
    message.msg_controllen = room.bytes.size();
    auto size = os::receive_message(socket, message, MSG_DONTWAIT);
    // A Unix socket whose peer closed with bytes of ours unread tells so once, ahead of what it had sent before.
    if (size < 0 && errno == ECONNRESET) {
        message.msg_controllen = room.bytes.size();
        size = os::receive_message(socket, message, MSG_DONTWAIT);
        if (size < 0 && errno == EAGAIN)
            errno = ECONNRESET;
    }
    if (size < 0) {
        if (errno == EAGAIN)
            return {progress::would_block, 0, {}, false};
        if (errno == ENOTCONN || errno == ECONNRESET)
            return {};
        fail("receiving a message");
    }
    received_bytes result{size == 0 ? progress::end : progress::some, static_cast<std::size_t>(size), {}, false};
    if (message.msg_controllen != 0)
        result.descriptors = take_descriptors(message);
    result.descriptors_lost = (message.msg_flags & MSG_CTRUNC) != 0;
    return result;
}

} // namespace coproc::os
