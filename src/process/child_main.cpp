#include "process/child_main.hpp"

#include "os/packet.hpp"
#include "os/program_file.hpp"
#include "os/signals.hpp"
#include "os/start.hpp"
#include "process/fork_server.hpp"
#include "process/launch.hpp"
#include "process/loop.hpp"
#include "process/process_state.hpp"
#include "process/runtime.hpp"
#include "process/startup.hpp"

#include <coproc/detail/entry.hpp>
#include <coproc/error.hpp>
#include <coproc/run.hpp>
#include <coproc/serialize.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fcntl.h>
#include <filesystem>
#include <iostream>
#include <optional>
#include <span>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

namespace coproc::detail {
namespace {

// sysexits.h's EX_SOFTWARE: this process could not even begin.
constexpr int cannot_begin = 70;

void answer(const os::descriptor& control, startup_reply kind, std::span<const std::byte> what)
{
    std::vector<std::byte> bytes{static_cast<std::byte>(kind)};
    bytes.insert(bytes.end(), what.begin(), what.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(what.size(), 4000)));
    os::send_packet_blocking(control.get(), bytes, {});
}

void arrange(order& order)
{
    auto& runtime = this_runtime();
    runtime.begun = true;
    runtime.self = {order.name, ::getpid()};
    runtime.parent = order.parent;
    runtime.method = order.inherited;
    runtime.depth = order.depth;
    runtime.method_is_fixed = false;
    show_name(order.name);
    for (int i = 0; i < 3; ++i)
        if (order.standard[i])
            ::dup2(order.standard[i].get(), i);
    for (auto& stream : order.standard)
        stream.reset();
    if (order.working_directory && ::fchdir(order.working_directory.get()) != 0)
        throw std::system_error{errno, std::generic_category(), "changing to the working directory"};
    order.working_directory.reset();
    if (order.clear_environment)
        ::clearenv();
    for (auto& [name, value] : order.environment)
        value ? ::setenv(name.c_str(), value->c_str(), 1) : ::unsetenv(name.c_str());
}

void flush_streams()
{
    // A stream whose descriptor the call closed can't be flushed; that is no reason to fail.
    try {
        std::cout.flush();
        std::cerr.flush();
        std::clog.flush();
    } catch (...) {
    }
    std::fflush(nullptr);
}

void report(const std::string& text)
{
    std::string line = "coproc: process " + this_process::name() + " (" + std::to_string(::getpid()) + ") ended by an exception: " + text + "\n";
    std::fputs(line.c_str(), stderr);
}

int run_call(const entry& entry, input_archive& in)
{
    buffer nowhere;
    output_archive out{nowhere};
    invocation call{in, out};
    try {
        if (entry.plain)
            entry.plain(call);
        else
            run_until_done(entry.coroutine(call));
        return call.exit_code;
    } catch (const std::exception& e) {
        report(e.what());
    } catch (...) {
        report("of a type that is not derived from std::exception");
    }
    return 1;
}

} // namespace

void become_child(os::descriptor control)
{
    int code = cannot_begin;
    try {
        os::leave_terminal_interrupts();
        order order;
        os::descriptor lifeline;
        const entry* entry = nullptr;
        std::optional<input_archive> in;
        try {
            order = receive_order(control);
            lifeline = os::die_with(order.lifeline);
            order.lifeline.reset();
            os::adopt_program_file(std::move(order.program_file));
            arrange(order);
            in.emplace(order.call.data(), order.call.size(), &order.attachments);
            entry = &decode_entry(*in);
        } catch (const std::system_error& e) {
            int number = e.code().value();
            answer(control, startup_reply::failed, std::as_bytes(std::span{&number, 1}));
            ::_exit(cannot_begin);
        } catch (const std::exception& e) {
            answer(control, startup_reply::refused, std::as_bytes(std::span{e.what(), std::strlen(e.what())}));
            ::_exit(cannot_begin);
        }
        int numbers[] = {::getpid(), lifeline.get()};
        answer(control, startup_reply::hello, std::as_bytes(std::span{numbers}));
        control.reset();
        code = run_call(*entry, *in);
    } catch (const std::exception& e) {
        report(e.what());
    }
    flush_streams();
    ::_exit(code);
}

void become_forked_child(os::descriptor control)
{
    auto& runtime = this_runtime();
    os::reset_signals();
    forget_children(); // these three are used again, or destroyed, by owners that must not close what is closed below
    this_fork_server().disown();
    runtime.lifeline = {};
    os::abandon_descriptors({control.get(), runtime.executable.get()});
    // What an event loop of the parent's registered stays registered as long as the parent holds it, whoever else does;
    // but through our copy of the loop's own descriptor a destructor (in exit(), say) could still take it out.
    std::vector<int> loops;
    for (auto& file : std::filesystem::directory_iterator{"/proc/self/fd"}) {
        std::error_code ignored;
        if (std::filesystem::read_symlink(file.path(), ignored) == "anon_inode:[eventpoll]")
            loops.push_back(std::atoi(file.path().filename().c_str()));
    }
    for (int number : loops)
        ::close(number);
    forget_loops();
    become_child(std::move(control));
}

void become_what_was_asked()
{
    const char* value = std::getenv(role_variable);
    if (!value)
        return;
    std::string role = value;
    ::unsetenv(role_variable);
    struct stat status{};
    if (::fstat(os::inherited_socket, &status) != 0 || !S_ISSOCK(status.st_mode)) {
        std::fprintf(stderr, "coproc: %s is set, but this program was not started by coproc\n", role_variable);
        ::_exit(cannot_begin);
    }
    os::descriptor socket{os::inherited_socket};
    this_runtime().executable = os::descriptor{os::inherited_executable};
    for (int number : {os::inherited_socket, os::inherited_executable})
        ::fcntl(number, F_SETFD, FD_CLOEXEC);
    os::reset_signals(); // what static objects may have set; clones of the fork server need not do it again
    if (role == role_fork_server)
        serve_forks(std::move(socket));
    become_child(std::move(socket));
}

} // namespace coproc::detail
