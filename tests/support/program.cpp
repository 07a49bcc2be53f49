#include "support/program.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace support {
namespace {

using clock = std::chrono::steady_clock;

[[noreturn]] void fail(int code, const std::string& operation)
{
    throw std::system_error{code, std::generic_category(), operation};
}

std::array<int, 2> make_pipe()
{
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
        fail(errno, "pipe2");
    return ends;
}

void close_now(int& descriptor)
{
    if (descriptor >= 0)
        ::close(std::exchange(descriptor, -1));
}

int milliseconds_until(clock::time_point end)
{
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - clock::now()).count();
    return static_cast<int>(std::clamp<long>(left, 0, 1'000'000));
}

} // namespace

std::string twin(const std::string& name) { return COPROC_TWINS_DIR "/" + name; }

program::program(const std::string& path, const std::vector<std::string>& arguments)
{
    auto in = make_pipe(), out = make_pipe(), err = make_pipe();
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, in[0], 0);
    posix_spawn_file_actions_adddup2(&files, out[1], 1);
    posix_spawn_file_actions_adddup2(&files, err[1], 2);
    posix_spawn_file_actions_addclosefrom_np(&files, 3);

    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);

    std::vector<char*> argv{const_cast<char*>(path.c_str())};
    for (const std::string& argument : arguments)
        argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    const int failed = ::posix_spawn(&pid_, path.c_str(), &files, &attributes, argv.data(), environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);

    close_now(in[0]), close_now(out[1]), close_now(err[1]);
    input_ = in[1], output_ = out[0], error_ = err[0];
    if (failed != 0) {
        pid_ = -1;
        close_now(input_), close_now(output_), close_now(error_);
        fail(failed, "start of " + path);
    }
}

program::~program()
{
    if (pid_ > 0) {
        kill_group(SIGKILL);
        reap();
    }
    close_now(input_), close_now(output_), close_now(error_);
}

void program::write(const std::string& text)
{
    // A broken pipe is an error for the test, not its end.
    sigset_t broken_pipe, before;
    sigemptyset(&broken_pipe);
    sigaddset(&broken_pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &broken_pipe, &before);
    std::string_view left = text;
    int error = 0;
    while (!left.empty() && error == 0) {
        const ssize_t written = ::write(input_, left.data(), left.size());
        if (written >= 0)
            left.remove_prefix(static_cast<std::size_t>(written));
        else if (errno != EINTR)
            error = errno;
    }
    const timespec at_once{};
    if (error == EPIPE)
        sigtimedwait(&broken_pipe, nullptr, &at_once);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (error != 0)
        fail(error, "write to the standard input of a program");
}

void program::close_input() { close_now(input_); }

// Reads what its outputs have; false at the end of both, or once `end` has passed.
bool program::fill(clock::time_point end)
{
    std::array<pollfd, 2> sources{pollfd{output_, POLLIN, 0}, pollfd{error_, POLLIN, 0}};
    if (output_ < 0 && error_ < 0)
        return false;
    const int ready = ::poll(sources.data(), sources.size(), milliseconds_until(end));
    if (ready < 0 && errno != EINTR)
        fail(errno, "poll of a program's output");
    if (ready <= 0)
        return clock::now() < end;
    std::array<char, 4096> block;
    for (auto [source, descriptor, text] : {std::tuple{&sources[0], &output_, &out_}, std::tuple{&sources[1], &error_, &err_}}) {
        if (source->revents == 0)
            continue;
        const ssize_t got = ::read(*descriptor, block.data(), block.size());
        if (got > 0)
            text->append(block.data(), static_cast<std::size_t>(got));
        else if (got == 0)
            close_now(*descriptor);
        else if (errno != EINTR)
            fail(errno, "read of a program's output");
    }
    return true;
}

std::optional<std::string> program::read_line(std::chrono::milliseconds limit)
{
    const auto end = clock::now() + limit;
    for (;;) {
        if (const auto newline = out_.find('\n', lines_read_); newline != std::string::npos) {
            std::string line = out_.substr(lines_read_, newline - lines_read_);
            lines_read_ = newline + 1;
            return line;
        }
        if (output_ < 0 || !fill(end))
            return std::nullopt;
    }
}

void program::kill(int signal) const
{
    if (pid_ > 0)
        ::kill(pid_, signal);
}

void program::kill_group(int signal) const
{
    if (pid_ > 0)
        ::kill(-pid_, signal);
}

void program::reap()
{
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0)
        if (errno != EINTR)
            fail(errno, "waitpid for a program");
    status_ = status;
    pid_ = -1;
}

program_result program::wait(std::chrono::milliseconds limit)
{
    const auto end = clock::now() + limit;
    program_result result;
    close_input();
    while (fill(end)) {
    }
    // Its outputs are closed: it has ended or is about to, unless it closed them itself or time is up.
    siginfo_t info{};
    while (pid_ > 0 && ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT | WNOHANG) == 0 && info.si_pid == 0) {
        if (clock::now() >= end) {
            result.timed_out = true;
            kill_group(SIGKILL);
            break;
        }
        ::poll(nullptr, 0, 1);
    }
    if (output_ >= 0 || error_ >= 0) { // a child of it that holds them and outlives it
        result.timed_out = true;
        kill_group(SIGKILL);
    }
    if (pid_ > 0)
        reap();
    if (WIFEXITED(*status_))
        result.exit_code = WEXITSTATUS(*status_);
    else
        result.signal = WTERMSIG(*status_);
    result.out = out_;
    result.err = err_;
    return result;
}

program_result run_program(const std::string& path, const std::vector<std::string>& arguments, const std::string& input,
                           std::chrono::milliseconds limit)
{
    program child{path, arguments};
    try {
        child.write(input);
    } catch (const std::system_error&) {
        // it does not read; how it ended says more
    }
    return child.wait(limit);
}

} // namespace support
