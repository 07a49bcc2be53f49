#include <coproc/pipe.hpp>

#include "channels/connection_state.hpp"
#include "os/stream_socket.hpp"

#include <sys/socket.h>

namespace coproc {
namespace {

std::pair<connection, connection> make(detail::abilities first, detail::abilities second)
{
    auto ends = os::make_stream_pair();
    if (!first.writes)
        ::shutdown(ends.first.get(), SHUT_WR);
    return {detail::connection_factory::make(std::move(ends.first), first), detail::connection_factory::make(std::move(ends.second), second)};
}

} // namespace

std::pair<connection, connection> pipe() { return make({}, {}); }
std::pair<connection, connection> one_way_pipe() { return make({true, false, true}, {false, true, true}); }

} // namespace coproc
