#include "process/startup.hpp"

#include "os/calls.hpp"
#include "os/error.hpp"
#include "os/start.hpp"
#include "process/child_main.hpp"
#include "process/fork_server.hpp"
#include "process/runtime.hpp"

#include <coproc/error.hpp>

#include <array>
#include <cerrno>
#include <cstring>
#include <csignal>
#include <iostream>
#include <poll.h>

namespace coproc::detail {
namespace {

// What a clone may take on a machine that is very busy; whoever gives up a start waits no longer for it.
constexpr int known_milliseconds = 5000;

// A fork server that is killed again and again, or a program that never comes to coproc::run, is given up after so many.
constexpr int max_tries = 3;

} // namespace

startup::startup(launch what) : launch_{std::move(what)}
{
    this_runtime().check_may_start();
    try {
        request();
    } catch (...) {
        kill_child();
        throw;
    }
}

startup::~startup()
{
    try {
        for (pollfd p{control_.get(), POLLIN, 0}; control_ && !child_ && os::poll(&p, 1, known_milliseconds) == 1;) {
            auto packet = os::receive_packet(control_.get(), replies_, os::wait::no);
            if (packet.what != os::received::packet)
                break;
            take(packet, {replies_.data(), packet.size});
        }
    } catch (const std::exception&) { // it was not made, or refused
    }
    kill_child();
}

void startup::kill_child() noexcept
{
    if (!child_)
        return;
    try {
        child_.send_signal(SIGKILL);
        child_.ended_within(known_milliseconds);
        static_cast<void>(child_.try_wait());
    } catch (const std::exception&) { // no longer ours to kill
    }
}

void startup::request()
{
    ++tries_;
    auto& runtime = this_runtime();
    auto [ours, theirs] = os::make_packet_pair();
    auto send_order = [&, &control = ours](const environment_changes& environment) {
        std::scoped_lock lock{runtime.mutex};
        runtime.method_is_fixed = true;
        launch_.send(control, runtime.lifeline_for_children(), {runtime.self.name, this_process::pid()}, runtime.method, environment);
    };
    switch (launch_.method) {
    case start_method::forkserver:
        send_order(this_fork_server().changes_of_environment());
        this_fork_server().request(theirs);
        break;
    case start_method::spawn:
        child_ = os::spawn(runtime.executable, theirs, runtime.arguments, runtime.environment_for(role_process));
        send_order({});
        break;
    case start_method::fork: {
        if (os::thread_count() > 1)
            throw usage_error{"start method fork copies one thread only, and this process has more: use forkserver or spawn"};
        std::cout.flush();
        auto result = os::fork_self();
        if (result.is_new) {
            ours.reset();
            become_forked_child(std::move(theirs));
        }
        child_ = std::move(result.made);
        send_order({});
        break;
    }
    }
    control_ = std::move(ours);
}

bool startup::advance()
{
    while (!(accepted_ && child_)) {
        auto packet = os::receive_packet(control_.get(), replies_, os::wait::no);
        switch (packet.what) {
        case os::received::would_block: return false;
        case os::received::end: ended(); break;
        case os::received::packet: take(packet, {replies_.data(), packet.size}); break;
        }
    }
    return true;
}

void startup::take(os::packet& packet, std::span<const std::byte> bytes)
{
    int number = 0, lifeline = -1;
    if (bytes.size() >= 1 + sizeof number)
        std::memcpy(&number, bytes.data() + 1, sizeof number);
    if (bytes.size() >= 1 + sizeof number + sizeof lifeline)
        std::memcpy(&lifeline, bytes.data() + 1 + sizeof number, sizeof lifeline);
    switch (static_cast<startup_reply>(bytes[0])) {
    case startup_reply::process:
        if (!child_ && packet.descriptors.size() == 1)
            child_ = os::child{number, std::move(packet.descriptors[0])};
        return;
    case startup_reply::hello:
        if (!child_)
            child_ = os::open_child(number);
        lifeline_ = lifeline;
        accepted_ = true;
        return;
    case startup_reply::failed: os::fail(number, "starting a process");
    case startup_reply::refused: throw protocol_error{std::string{reinterpret_cast<const char*>(bytes.data()) + 1, bytes.size() - 1}};
    }
    throw protocol_error{"a new process answered with something unknown"};
}

void startup::ended()
{
    if (launch_.method == start_method::forkserver && !child_) {
        auto reason = this_fork_server().why_it_ended();
        if (tries_ < max_tries)
            return request();
        throw error{"no process could be started: " + reason};
    }
    // Its end is awaited like that of any other; who waits learns how it ended.
    if (!child_.ended_within(0) && launch_.method != start_method::forkserver)
        child_.ended_within(1000);
    auto end = child_.try_wait();
    if (launch_.method == start_method::spawn && end && end->code >= 0)
        throw error{"the program ended (exit code " + std::to_string(end->code) + ") before it came to coproc::run or coproc::init"};
    throw error{"a process ended before it accepted its call" + (end && end->signal ? " (signal " + std::to_string(end->signal) + ")" : std::string{})};
}

} // namespace coproc::detail
