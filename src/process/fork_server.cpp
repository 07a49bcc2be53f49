#include "process/fork_server.hpp"

#include "os/calls.hpp"
#include "os/error.hpp"
#include "os/packet.hpp"
#include "os/signals.hpp"
#include "os/start.hpp"
#include "process/child_main.hpp"
#include "process/runtime.hpp"
#include "process/startup.hpp"

#include <coproc/error.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <optional>
#include <poll.h>
#include <set>
#include <system_error>
#include <unistd.h>
#include <vector>

namespace coproc::detail {
namespace {

enum class server_request : unsigned char { clone = 'C', forget = 'D' };

std::array<std::byte, 1 + sizeof(int)> message(unsigned char kind, int number)
{
    std::array<std::byte, 1 + sizeof(int)> result{static_cast<std::byte>(kind)};
    std::memcpy(result.data() + 1, &number, sizeof number);
    return result;
}

// Waiting for the server: it needs no more than it takes to kill what it made.
constexpr int stop_milliseconds = 2000;

} // namespace

fork_server& this_fork_server()
{
    static fork_server& instance = *new fork_server; // like the runtime, never destroyed
    return instance;
}

void fork_server::start()
{
    auto& runtime = this_runtime();
    auto [ours, theirs] = os::make_packet_pair();
    environment_ = runtime.environment_for(role_fork_server);
    process_ = os::spawn(runtime.executable, theirs, runtime.arguments, environment_);
    requests_ = std::move(ours);
}

environment_changes fork_server::changes_of_environment() const
{
    std::scoped_lock lock{mutex_};
    environment_changes result;
    if (!requests_)
        return result;
    auto now = this_runtime().environment_for(role_fork_server);
    if (now == environment_)
        return result;
    auto name_of = [](const std::string& variable) { return variable.substr(0, variable.find('=')); };
    std::set<std::string> present;
    for (auto& variable : now) {
        auto name = name_of(variable);
        if (std::find(environment_.begin(), environment_.end(), variable) == environment_.end())
            result.emplace_back(name, variable.substr(std::min(variable.size(), name.size() + 1)));
        present.insert(std::move(name));
    }
    for (auto& variable : environment_)
        if (auto name = name_of(variable); !present.contains(name))
            result.emplace_back(std::move(name), std::nullopt);
    return result;
}

void fork_server::request(const os::descriptor& control)
{
    std::scoped_lock lock{mutex_};
    int descriptors[] = {control.get()};
    auto bytes = message(static_cast<unsigned char>(server_request::clone), 0);
    for (int tries = 0; tries < 3; ++tries) {
        if (!requests_)
            start();
        if (os::send_packet_blocking(requests_.get(), bytes, descriptors))
            return;
        reap();
    }
    throw error{"no process could be started: " + reason_};
}

void fork_server::forget(int pid)
{
    std::scoped_lock lock{mutex_};
    if (requests_)
        os::send_packet_blocking(requests_.get(), message(static_cast<unsigned char>(server_request::forget), pid), {});
}

void fork_server::reap()
{
    requests_.reset();
    if (!process_)
        return;
    if (!process_.ended_within(stop_milliseconds)) {
        process_.send_signal(SIGKILL);
        process_.ended_within(-1);
    }
    if (auto end = process_.try_wait()) {
        if (end->signal != 0)
            reason_ = "the fork server was killed by signal " + std::to_string(end->signal);
        else
            reason_ = "the program, started again as the fork server, ended (exit code " + std::to_string(end->code)
                      + ") before it came to coproc::run or coproc::init";
    }
    process_ = {};
}

std::string fork_server::why_it_ended()
{
    std::scoped_lock lock{mutex_};
    if (process_ && process_.ended_within(0))
        reap();
    return reason_;
}

void fork_server::stop()
{
    std::scoped_lock lock{mutex_};
    reap();
}

void fork_server::disown() noexcept
{
    requests_.reset();
    process_ = {};
    environment_.clear();
}

int fork_server::pid() const
{
    std::scoped_lock lock{mutex_};
    return process_ ? process_.pid() : 0;
}

void serve_forks(os::descriptor requests)
{
    auto& runtime = this_runtime();
    show_name("fork server");
    os::leave_terminal_interrupts();
    for (auto f : runtime.preloads)
        f();
    std::cout.flush();
    std::fflush(nullptr);

    std::vector<os::child> made;
    std::vector<pollfd> watched;
    os::descriptor spare; // kept for the socket of a request, so that whoever asks can be told that there are no others
    for (;;) {
        if (!spare)
            spare = os::descriptor{os::duplicate(requests.get())};
        watched.assign(1, {requests.get(), POLLIN, 0});
        for (auto& child : made)
            watched.push_back({child.pidfd(), POLLIN, 0});
        os::poll(watched.data(), watched.size(), -1);
        for (std::size_t i = made.size(); i-- > 0;)
            if (watched[i + 1].revents != 0)
                made.erase(made.begin() + static_cast<std::ptrdiff_t>(i));
        if (watched[0].revents == 0)
            continue;

        std::array<std::byte, 16> bytes{};
        os::packet packet;
        spare.reset();
        try {
            packet = os::receive_packet(requests.get(), bytes, os::wait::yes);
        } catch (const std::system_error&) {
            continue; // not even the spare one was to be had: who asked sees the end of the socket
        }
        if (packet.what == os::received::end) {
            for (auto& child : made)
                child.send_signal(SIGKILL);
            ::_exit(0);
        }
        if (static_cast<server_request>(bytes[0]) == server_request::forget) {
            int pid = 0;
            std::memcpy(&pid, bytes.data() + 1, sizeof pid);
            std::erase_if(made, [&](auto& child) { return child.pid() == pid; });
            continue;
        }
        if (packet.descriptors.size() != 1)
            continue;
        os::descriptor control = std::move(packet.descriptors[0]);
        try {
            auto result = os::clone_sibling();
            if (result.is_new) {
                requests.reset();
                made.clear();
                become_child(std::move(control));
            }
            int pidfd[] = {result.made.pidfd()};
            os::send_packet(control.get(), message(static_cast<unsigned char>(startup_reply::process), result.made.pid()), pidfd);
            made.push_back(std::move(result.made));
        } catch (const std::system_error& e) {
            os::send_packet(control.get(), message(static_cast<unsigned char>(startup_reply::failed), e.code().value()), {});
        }
    }
}

} // namespace coproc::detail
