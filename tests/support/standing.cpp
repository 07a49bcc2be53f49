#include "support/standing.hpp"

#include "os/program_file.hpp"
#include "process/fork_server.hpp"
#include "process/loop.hpp"
#include "process/runtime.hpp"
#include "sync/loop_party.hpp"
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
    // The table of who shares, and the doorbells of this thread and its loop.
    (void)coproc::detail::loop_party::of(coproc::detail::this_thread_loop().get_executor());
    (void)coproc::detail::blocked_thread::here();
}

void end_what_comes_again()
{
    coproc::detail::this_fork_server().stop();
    coproc::detail::drop_idle_bulk();
    coproc::detail::loop_party::of(coproc::detail::this_thread_loop().get_executor()).forget_processes();
    coproc::detail::blocked_thread::here().forget_processes();
}

} // namespace support
