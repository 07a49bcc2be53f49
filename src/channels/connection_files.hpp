// What one end of a connection reads from and writes to.
#pragma once

#include "os/byte_pipe.hpp"
#include "os/descriptor.hpp"
#include "os/stream_socket.hpp"

#include <coproc/serialize.hpp>

#include <cstddef>
#include <span>
#include <vector>

namespace coproc::detail {

/// A socket for everything; or pipes for the bytes, which are faster, and beside them a socket for descriptors, which are
/// sent ahead of the bytes they belong to. Not thread-safe.
class connection_files {
public:
    explicit connection_files(os::descriptor socket) noexcept : socket_{std::move(socket)} {}
    /// `in` or `out` may be none.
    connection_files(os::descriptor in, os::descriptor out, os::descriptor socket) noexcept
        : in_{std::move(in)}, out_{std::move(out)}, socket_{std::move(socket)}, pipes_{true}
    {
    }

    [[nodiscard]] bool are_open() const noexcept { return static_cast<bool>(socket_); }
    [[nodiscard]] bool are_pipes() const noexcept { return pipes_; }
    /// Of a one-way end, the same as the other one.
    [[nodiscard]] int reading() const noexcept { return !pipes_ ? socket_.get() : in_ ? in_.get() : out_.get(); }
    [[nodiscard]] int writing() const noexcept { return !pipes_ ? socket_.get() : out_ ? out_.get() : in_.get(); }
    [[nodiscard]] int socket() const noexcept { return socket_.get(); }

    /// Takes bytes that are there; from a socket, with the descriptors that come with them.
    [[nodiscard]] os::received_bytes receive(std::span<std::byte> to) const;
    /// With pipes: the descriptors of a message whose header has come. Throws protocol_error if they are not there.
    [[nodiscard]] os::received_bytes receive_descriptors(std::size_t count) const;
    [[nodiscard]] os::sent_bytes send(std::span<const std::byte> bytes, std::span<const int> descriptors) const;
    /// With pipes: would block while there is no room on the socket.
    [[nodiscard]] os::sent_bytes send_descriptors(std::span<const int> descriptors) const;

    /// Wakes whoever waits for the socket.
    void shut_down() const noexcept;
    void close() noexcept;

    void save(output_archive& archive);
    static connection_files load(input_archive& archive);

private:
    os::descriptor in_, out_, socket_;
    bool pipes_ = false;
};

} // namespace coproc::detail
