#include <coproc/pipe.hpp>

#include "channels/connection_state.hpp"
#include "os/byte_pipe.hpp"
#include "os/stream_socket.hpp"

namespace coproc {

using detail::connection_factory;
using detail::connection_files;

std::pair<connection, connection> pipe()
{
    auto forth = os::make_byte_pipe(), back = os::make_byte_pipe();
    auto sockets = os::make_stream_pair();
    return {connection_factory::make({std::move(back.first), std::move(forth.second), std::move(sockets.first)}, {}),
            connection_factory::make({std::move(forth.first), std::move(back.second), std::move(sockets.second)}, {})};
}

std::pair<connection, connection> one_way_pipe()
{
    auto pipe = os::make_byte_pipe();
    auto sockets = os::make_stream_pair();
    return {connection_factory::make({std::move(pipe.first), {}, std::move(sockets.first)}, {true, false, true}),
            connection_factory::make({{}, std::move(pipe.second), std::move(sockets.second)}, {false, true, true})};
}

} // namespace coproc
