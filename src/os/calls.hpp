// The one door to the kernel.
//
// Every system call that can fail for a reason of its own (an interruption, no descriptors, no memory) is made here and
// nowhere else. The functions keep the kernel's conventions, -1 and errno, and differ in two things only: an interrupted
// call is made again, and a test can decide beforehand how a call shall fail (set_injector).
#pragma once

#include <cstddef>
#include <cstdint>
#include <sys/types.h>

struct msghdr;
struct pollfd;

namespace coproc::os {

enum class call {
    read,
    write,
    send_message,
    receive_message,
    make_pipe,
    make_socket_pair,
    make_socket,
    make_event,
    make_watch_set,
    make_memory_file,
    resize,
    map,
    open,
    duplicate,
    clone,
    fork,
    spawn,
    open_process,
    wait_process,
    accept
};

/// What a test wants of the next call: fail with this errno, or move at most this many bytes.
struct verdict {
    int error = 0;
    std::size_t at_most = SIZE_MAX;
};
using injector = verdict (*)(call);

/// Asks `f` before each call from now on; nullptr asks nobody. Returns the previous one. For tests.
injector set_injector(injector f);

/// An injected error for calls that are made elsewhere (by libc, say): 0, or an errno to fail with.
int injected_error(call);

ssize_t read(int descriptor, void* to, std::size_t size);
/// Never raises SIGPIPE: a reader that is gone is EPIPE.
ssize_t write(int descriptor, const void* from, std::size_t size);
/// Adds one to an event descriptor: whoever polls it wakes.
void ring(int event);
/// Never raises SIGPIPE, as send_message; counts as one.
ssize_t send(int socket, const void* from, std::size_t size, int flags);
ssize_t send_message(int socket, const msghdr& message, int flags);
ssize_t receive_message(int socket, msghdr& message, int flags);
int make_pipe(int ends[2], int flags);
int make_socket_pair(int type, int ends[2]);
int make_socket(int domain, int type);
/// The next client of a listening socket; never waits.
int accept(int socket);
int make_event(int flags);
int make_watch_set();
int make_memory_file(const char* name);
int resize(int descriptor, std::size_t size);
void* map(std::size_t size, int protection, int descriptor, std::size_t offset = 0);
int open(const char* path, int flags, unsigned mode = 0);
/// A copy that is closed on exec and is none of 0, 1, 2.
int duplicate(int descriptor);
int open_process(pid_t pid);
/// Waits until one of the descriptors is ready or `milliseconds` (-1: without limit) have passed.
int poll(pollfd* descriptors, std::size_t count, int milliseconds);

} // namespace coproc::os
