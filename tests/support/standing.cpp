#include "support/standing.hpp"

#include "os/program_file.hpp"
#include "process/fork_server.hpp"
#include "process/loop.hpp"
#include "process/runtime.hpp"
#include "wire/bulk.hpp"

#include <asio/steady_timer.hpp>

namespace support {

std::vector<standing> all_standing() { return {}; }

void make_what_stands()
{
    // The loop of the main thread, with its epoll descriptor, which Asio makes for the first timer or descriptor.
    asio::steady_timer timer{coproc::detail::this_thread_loop()};
    (void)coproc::detail::this_runtime().lifeline_for_children();
    (void)coproc::os::program_file();
}

void end_what_comes_again()
{
    coproc::detail::this_fork_server().stop();
    coproc::detail::drop_idle_bulk();
}

} // namespace support
