#include "os/byte_pipe.hpp"

#include "os/calls.hpp"
#include "os/error.hpp"

#include <cerrno>
#include <fcntl.h>

namespace coproc::os {

descriptor_pair make_byte_pipe()
{
    int ends[2];
    if (os::make_pipe(ends, O_NONBLOCK) < 0)
        fail("making a pipe");
    return adopt_pair(ends, "making a pipe");
}

void widen_pipe(int pipe) noexcept { static_cast<void>(::fcntl(pipe, F_SETPIPE_SZ, static_cast<int>(wide_pipe))); }

sent_bytes write_some(int pipe, std::span<const std::byte> bytes)
{
    auto size = os::write(pipe, bytes.data(), bytes.size());
    if (size >= 0)
        return {progress::some, static_cast<std::size_t>(size)};
    switch (errno) {
    case EAGAIN: return {progress::would_block, 0};
    case EPIPE: return {progress::end, 0};
    default: fail("sending a message");
    }
}

received_bytes read_some(int pipe, std::span<std::byte> to)
{
    auto size = os::read(pipe, to.data(), to.size());
    if (size > 0)
        return {progress::some, static_cast<std::size_t>(size), {}, false};
    if (size == 0)
        return {};
    if (errno == EAGAIN)
        return {progress::would_block, 0, {}, false};
    fail("receiving a message");
}

} // namespace coproc::os
