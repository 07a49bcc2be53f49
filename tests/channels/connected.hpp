// Connections of all kinds of files.
#pragma once

#include <coproc/pipe.hpp>

#include "channels/connection_state.hpp"

#include <cstddef>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace channels_test {

enum files { pipes, one_socket };

inline std::pair<coproc::connection, coproc::connection> connected(files by)
{
    if (by == pipes)
        return coproc::pipe();
    auto ends = coproc::os::make_stream_pair();
    using coproc::detail::connection_factory, coproc::detail::connection_files;
    return {connection_factory::make(connection_files{std::move(ends.first)}, {}),
            connection_factory::make(connection_files{std::move(ends.second)}, {})};
}

/// Writes past the connection, without waiting; as ::write.
inline ssize_t write_past(coproc::connection& c, const void* bytes, std::size_t size)
{
    auto& files = coproc::detail::connection_factory::state_of(c)->files();
    return files.are_pipes() ? ::write(files.writing(), bytes, size) : ::send(files.writing(), bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

} // namespace channels_test
