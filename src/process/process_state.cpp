#include "process/process_state.hpp"

#include "os/start.hpp"
#include "process/child_main.hpp"
#include "process/fork_server.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <system_error>

namespace coproc::detail {
namespace {

struct list {
    std::mutex mutex;
    std::vector<std::shared_ptr<process_state>> children;
};
list& all()
{
    static list& instance = *new list;
    return instance;
}

// SIGKILL takes effect in microseconds unless the kernel itself is busy for the process (unmapping gigabytes, a disk that
// doesn't answer); a destructor waits no longer than this.
constexpr int kill_milliseconds = 1000;

} // namespace

process_state::process_state(std::string name, start_method method, os::child child, int lifeline)
    : name_{std::move(name)}, method_{method}, child_{std::move(child)}, lifeline_{lifeline}
{
}

std::optional<exit_status> process_state::poll()
{
    std::scoped_lock lock{mutex_};
    if (!status_)
        if (auto end = child_.try_wait())
            status_.emplace(end->code, end->signal);
    return status_;
}

void process_state::send_signal(int number)
{
    std::scoped_lock lock{mutex_};
    if (!status_)
        child_.send_signal(number);
}

void process_state::kill_and_reap()
{
    try {
        if (poll())
            return;
        send_signal(SIGKILL);
        child_.ended_within(kill_milliseconds);
        static_cast<void>(poll());
    } catch (const std::system_error&) { // it has made itself another user's: it ends with this process
    }
}

void process_state::abandon() noexcept
{
    status_.emplace();
    child_ = {};
    for (auto& stream : streams_)
        if (stream)
            stream->reset(); // the descriptor itself, as coroutines that were copied along may share it
}

void process_state::set_streams(std::array<os::descriptor, 3> ends)
{
    std::scoped_lock lock{mutex_};
    for (std::size_t i = 0; i < ends.size(); ++i)
        streams_[i] = ends[i] ? std::make_shared<os::descriptor>(std::move(ends[i])) : nullptr;
}

std::shared_ptr<const os::descriptor> process_state::stream(int which) const
{
    std::scoped_lock lock{mutex_};
    return streams_[static_cast<std::size_t>(which)];
}

void process_state::close_input()
{
    std::scoped_lock lock{mutex_};
    streams_[0].reset();
}

void process_state::detach()
{
    if (method_ == start_method::forkserver)
        this_fork_server().forget(pid());
    try {
        os::outlive(child_, lifeline_);
    } catch (const std::system_error& e) {
        // One that is ending, or has closed its end of the lifeline, is not bound to this process any more.
        if (e.code().value() != EBADF && e.code().value() != ESRCH)
            throw;
    }
    detached_ = true;
}

std::shared_ptr<process_state> list_child(std::string name, start_method method, os::child child, int lifeline)
{
    auto state = std::make_shared<process_state>(std::move(name), method, std::move(child), lifeline);
    static_cast<void>(listed_children());
    std::scoped_lock lock{all().mutex};
    all().children.push_back(state);
    return state;
}

std::vector<std::shared_ptr<process_state>> listed_children()
{
    std::scoped_lock lock{all().mutex};
    std::erase_if(all().children, [](auto& child) { return child->poll().has_value(); });
    return all().children;
}

void kill_children() noexcept
{
    auto children = listed_children();
    std::erase_if(children, [](auto& child) { return child->detached(); });
    for (auto& child : children)
        child->send_signal(SIGKILL);
    for (auto& child : children)
        child->kill_and_reap();
    static_cast<void>(listed_children());
}

void forget_children() noexcept
{
    for (auto& child : all().children)
        child->abandon();
    all().children.clear();
}

} // namespace coproc::detail
