#include "os/calls.hpp"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

namespace coproc::os {
namespace {

std::atomic<injector> injector_{nullptr};

constexpr int no_signal = 0x100; // RWF_NOSIGNAL, which Debian 12's headers don't know

verdict ask(call which)
{
    auto f = injector_.load(std::memory_order_relaxed); // a test sets it before it starts what it observes
    return f ? f(which) : verdict{};
}

// Makes the call until it is not interrupted; an injected interruption is a turn like any other.
template <class F>
auto uninterrupted(call which, F f) -> decltype(f(std::size_t{}))
{
    for (;;) {
        auto [error, at_most] = ask(which);
        decltype(f(at_most)) result{};
        if (error != 0) {
            errno = error;
            result = static_cast<decltype(result)>(-1);
        } else
            result = f(at_most);
        if (result != static_cast<decltype(result)>(-1) || errno != EINTR)
            return result;
    }
}

// A write to a pipe without readers raises SIGPIPE in the writing thread and nowhere else, so that it can be blocked
// there, taken back and forgotten.
class no_broken_pipe_signal {
public:
    no_broken_pipe_signal()
    {
        sigemptyset(&pipe_);
        sigaddset(&pipe_, SIGPIPE);
        sigset_t pending;
        sigpending(&pending);
        was_pending_ = sigismember(&pending, SIGPIPE) == 1;
        pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
    }
    ~no_broken_pipe_signal()
    {
        int kept = errno;
        if (!was_pending_) {
            timespec none{};
            while (sigtimedwait(&pipe_, nullptr, &none) == -1 && errno == EINTR) {}
        }
        pthread_sigmask(SIG_SETMASK, &before_, nullptr);
        errno = kept;
    }
    no_broken_pipe_signal(const no_broken_pipe_signal&) = delete;
    no_broken_pipe_signal& operator=(const no_broken_pipe_signal&) = delete;

private:
    sigset_t pipe_, before_;
    bool was_pending_ = false;
};

} // namespace

injector set_injector(injector f) { return injector_.exchange(f); }
int injected_error(call which) { return ask(which).error; }

ssize_t read(int descriptor, void* to, std::size_t size)
{
    return uninterrupted(call::read, [&](std::size_t most) { return ::read(descriptor, to, size < most ? size : most); });
}

ssize_t write(int descriptor, const void* from, std::size_t size)
{
    // Linux 6.18 has a flag for it. Before, a program that ignores SIGPIPE (coproc::init sees to it) needs one cheap call
    // to find that out, as it may have changed its mind; any other one needs the guard's.
    static std::atomic<bool> has_flag{true};
    if (has_flag.load(std::memory_order_relaxed)) {
        auto written = uninterrupted(call::write, [&](std::size_t most) {
            iovec part{const_cast<void*>(from), size < most ? size : most};
            return ::pwritev2(descriptor, &part, 1, -1, no_signal);
        });
        if (written >= 0 || (errno != EOPNOTSUPP && errno != EINVAL && errno != ENOSYS))
            return written;
        has_flag.store(false, std::memory_order_relaxed);
    }
    auto once = [&](std::size_t most) { return ::write(descriptor, from, size < most ? size : most); };
    struct sigaction now{};
    if (::sigaction(SIGPIPE, nullptr, &now) == 0 && now.sa_handler == SIG_IGN)
        return uninterrupted(call::write, once);
    no_broken_pipe_signal guard;
    return uninterrupted(call::write, once);
}

void ring(int event)
{
    std::uint64_t one = 1;
    static_cast<void>(uninterrupted(call::write, [&](std::size_t) { return ::write(event, &one, sizeof one); }));
}

ssize_t send(int socket, const void* from, std::size_t size, int flags)
{
    return uninterrupted(call::send_message,
                         [&](std::size_t most) { return ::send(socket, from, size < most ? size : most, flags | MSG_NOSIGNAL); });
}

ssize_t send_message(int socket, const msghdr& message, int flags)
{
    return uninterrupted(call::send_message, [&](std::size_t) { return ::sendmsg(socket, &message, flags | MSG_NOSIGNAL); });
}

ssize_t receive_message(int socket, msghdr& message, int flags)
{
    return uninterrupted(call::receive_message, [&](std::size_t) { return ::recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC); });
}

int make_pipe(int ends[2], int flags)
{
    return uninterrupted(call::make_pipe, [&](std::size_t) { return ::pipe2(ends, flags | O_CLOEXEC); });
}

int make_socket(int domain, int type)
{
    return uninterrupted(call::make_socket, [&](std::size_t) { return ::socket(domain, type | SOCK_CLOEXEC, 0); });
}

int make_socket_pair(int type, int ends[2])
{
    return uninterrupted(call::make_socket_pair, [&](std::size_t) { return ::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends); });
}

int accept(int socket)
{
    return uninterrupted(call::accept, [&](std::size_t) { return ::accept4(socket, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK); });
}

int make_event(int flags)
{
    return uninterrupted(call::make_event, [&](std::size_t) { return ::eventfd(0, flags | EFD_CLOEXEC); });
}

int make_watch_set()
{
    return uninterrupted(call::make_watch_set, [&](std::size_t) { return ::epoll_create1(EPOLL_CLOEXEC); });
}

int make_memory_file(const char* name)
{
    return uninterrupted(call::make_memory_file, [&](std::size_t) { return ::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING); });
}

int resize(int descriptor, std::size_t size)
{
    return uninterrupted(call::resize, [&](std::size_t) { return ::ftruncate(descriptor, static_cast<off_t>(size)); });
}

void* map(std::size_t size, int protection, int descriptor, std::size_t offset)
{
    void* data = MAP_FAILED;
    uninterrupted(call::map, [&](std::size_t) {
        data = ::mmap(nullptr, size, protection, MAP_SHARED, descriptor, static_cast<off_t>(offset));
        return data == MAP_FAILED ? -1 : 0;
    });
    return data;
}

int open(const char* path, int flags, unsigned mode)
{
    return uninterrupted(call::open, [&](std::size_t) { return ::open(path, flags | O_CLOEXEC, mode); });
}

int duplicate(int descriptor)
{
    return uninterrupted(call::duplicate, [&](std::size_t) { return ::fcntl(descriptor, F_DUPFD_CLOEXEC, 3); });
}

int open_process(pid_t pid)
{
    return uninterrupted(call::open_process, [&](std::size_t) { return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)); });
}

int poll(pollfd* descriptors, std::size_t count, int milliseconds)
{
    timespec begin{};
    ::clock_gettime(CLOCK_MONOTONIC, &begin);
    for (int left = milliseconds;;) {
        int ready = ::poll(descriptors, count, left);
        if (ready != -1 || errno != EINTR)
            return ready;
        if (milliseconds < 0)
            continue;
        timespec now{};
        ::clock_gettime(CLOCK_MONOTONIC, &now);
        auto passed = (now.tv_sec - begin.tv_sec) * 1000 + (now.tv_nsec - begin.tv_nsec) / 1'000'000;
        left = passed >= milliseconds ? 0 : static_cast<int>(milliseconds - passed);
    }
}

} // namespace coproc::os
