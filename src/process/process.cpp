#include <coproc/process.hpp>

#include "os/calls.hpp"
#include "os/error.hpp"
#include "process/process_state.hpp"
#include "process/ready.hpp"
#include "process/startup.hpp"
#include "process/within.hpp"

#include <coproc/error.hpp>

#include <cerrno>
#include <csignal>

namespace coproc {
namespace detail {
namespace {

// The time a new process has to accept its call. The program's own start-up (static objects, what main does before run)
// is part of it once for each fork server and each spawn.
constexpr std::chrono::seconds startup_limit{60};

} // namespace

struct process_factory {
    static process make(std::shared_ptr<process_state> state) { return process{std::move(state)}; }

    static task<process> start(launch what, std::array<os::descriptor, 3> streams)
    {
        auto name = what.name;
        auto method = what.method;
        startup coming{std::move(what)};
        while (!coming.advance()) {
            auto answer = within(ready(coming.control(), waits::wait_read), startup_limit);
            if (!co_await std::move(answer))
                throw error{"process " + name + " did not come to coproc::run or coproc::init within a minute"};
        }
        auto state = list_child(std::move(name), method, coming.take_child(), coming.lifeline());
        state->set_streams(std::move(streams));
        co_return make(std::move(state));
    }
};

} // namespace detail

using detail::ready;

process::process(std::shared_ptr<detail::process_state> state) noexcept : state_{std::move(state)} {}

process& process::operator=(process&& other) noexcept
{
    process dropped{std::move(*this)};
    state_ = std::move(other.state_);
    return *this;
}

process::~process()
{
    if (state_) {
        state_->kill_and_reap();
        static_cast<void>(detail::listed_children());
    }
}

task<process> process::start_encoded(const process_options& options, detail::buffer call)
{
    std::array<os::descriptor, 3> streams;
    auto what = detail::prepare(options, std::move(call), streams);
    return detail::process_factory::start(std::move(what), std::move(streams));
}

detail::process_state& process::state() const
{
    if (!state_)
        throw usage_error{"this process handle is empty: the process was not started, moved away or detached"};
    return *state_;
}

int process::pid() const { return state().pid(); }
const std::string& process::name() const { return state().name(); }
start_method process::method() const { return state().method(); }
bool process::running() const { return !state().poll(); }
std::optional<exit_status> process::exit_status() const { return state().poll(); }
int process::native_handle() const { return state().pidfd(); }
void process::terminate() { send_signal(SIGTERM); }
void process::kill() { send_signal(SIGKILL); }
void process::interrupt() { send_signal(SIGINT); }
void process::send_signal(int number) { state().send_signal(number); }

namespace {

task<exit_status> join_state(std::shared_ptr<detail::process_state> state)
{
    for (;;) {
        if (auto status = state->poll())
            co_return *status;
        co_await ready(state->pidfd(), detail::waits::wait_read);
    }
}

task<std::optional<exit_status>> join_state_for(std::shared_ptr<detail::process_state> state, std::chrono::nanoseconds time)
{
    if (auto status = state->poll(); status || time <= time.zero())
        co_return status;
    auto end = detail::within(ready(state->pidfd(), detail::waits::wait_read), time);
    static_cast<void>(co_await std::move(end));
    co_return state->poll();
}

task<exit_status> stop_state(std::shared_ptr<detail::process_state> state, stop_policy policy)
{
    const std::pair<int, std::chrono::milliseconds> steps[] = {{SIGINT, policy.after_interrupt}, {SIGTERM, policy.after_terminate}};
    for (auto [number, time] : steps) {
        if (time <= time.zero())
            continue;
        state->send_signal(number);
        auto end = join_state_for(state, time);
        if (auto status = co_await std::move(end))
            co_return *status;
    }
    state->send_signal(SIGKILL);
    auto end = join_state(state);
    co_return co_await std::move(end);
}

task<std::optional<std::string>> read_stream(std::shared_ptr<detail::process_state> state, int which, std::size_t most)
{
    if (most == 0)
        throw usage_error{"a read of at most 0 bytes can't be told from the end of the stream: ask for 1 or more"};
    auto stream = state->stream(which);
    if (!stream)
        throw usage_error{"this standard stream of the process is no pipe: start it with pipe_stream"};
    std::string text(most, '\0');
    for (;;) {
        ssize_t size = os::read(stream->get(), text.data(), text.size());
        if (size >= 0) {
            text.resize(static_cast<std::size_t>(size));
            co_return size == 0 ? std::nullopt : std::optional{std::move(text)};
        }
        if (errno != EAGAIN)
            os::fail("reading a process's output");
        co_await ready(stream->get(), detail::waits::wait_read);
    }
}

task<bool> write_stream(std::shared_ptr<detail::process_state> state, std::string text)
{
    auto stream = state->stream(0);
    if (!stream)
        throw usage_error{"the standard input of the process is no pipe, or was closed: start it with pipe_stream"};
    for (std::size_t written = 0; written < text.size();) {
        ssize_t size = os::write(stream->get(), text.data() + written, text.size() - written);
        if (size >= 0)
            written += static_cast<std::size_t>(size);
        else if (errno == EPIPE)
            co_return false;
        else if (errno != EAGAIN)
            os::fail("writing a process's input");
        else
            co_await ready(stream->get(), detail::waits::wait_write);
    }
    co_return true;
}

} // namespace

task<exit_status> process::join()
{
    static_cast<void>(state());
    return join_state(state_);
}

task<std::optional<exit_status>> process::join_for(std::chrono::nanoseconds time)
{
    static_cast<void>(state());
    return join_state_for(state_, time);
}

task<exit_status> process::stop(stop_policy policy)
{
    static_cast<void>(state());
    return stop_state(state_, policy);
}

void process::detach()
{
    state().detach();
    state_.reset();
}

task<std::optional<std::string>> process::read_output(std::size_t most)
{
    static_cast<void>(state());
    return read_stream(state_, 1, most);
}

task<std::optional<std::string>> process::read_error(std::size_t most)
{
    static_cast<void>(state());
    return read_stream(state_, 2, most);
}

task<bool> process::write_input(std::string text)
{
    static_cast<void>(state());
    return write_stream(state_, std::move(text));
}

void process::close_input() { state().close_input(); }

std::vector<process_info> active_children()
{
    std::vector<process_info> result;
    for (auto& child : detail::listed_children())
        if (!child->detached())
            result.push_back({child->name(), child->pid()});
    return result;
}

} // namespace coproc
