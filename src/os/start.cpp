#include "os/start.hpp"

#include "os/calls.hpp"
#include "os/error.hpp"

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <dirent.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <memory>
#include <poll.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace coproc::os {
namespace {

void check(int error, const char* operation)
{
    if (error != 0)
        fail(error, operation);
}

std::vector<char*> pointers(const std::vector<std::string>& strings)
{
    std::vector<char*> result;
    for (auto& s : strings)
        result.push_back(const_cast<char*>(s.c_str()));
    result.push_back(nullptr);
    return result;
}

} // namespace

child spawn(const descriptor& executable, const descriptor& socket, const std::vector<std::string>& arguments,
            const std::vector<std::string>& environment, session session)
{
    check(injected_error(call::spawn), "starting the program again");
    // A descriptor that stands where another one is put would be closed under way: both begin above those places.
    std::vector<descriptor> copies;
    auto above = [&](const descriptor& d) {
        int number = d.get();
        while (number <= inherited_executable) {
            copies.push_back(d.duplicate());
            number = copies.back().get();
        }
        return number;
    };
    int socket_number = above(socket), file_number = above(executable);

    posix_spawn_file_actions_t actions;
    check(posix_spawn_file_actions_init(&actions), "starting the program again");
    std::unique_ptr<posix_spawn_file_actions_t, int (*)(posix_spawn_file_actions_t*)> release_actions{&actions, posix_spawn_file_actions_destroy};
    check(posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0), "starting the program again");
    for (int output : {1, 2})
        if (::fcntl(output, F_GETFD) < 0)
            check(posix_spawn_file_actions_addopen(&actions, output, "/dev/null", O_WRONLY, 0), "starting the program again");
    check(posix_spawn_file_actions_adddup2(&actions, socket_number, inherited_socket), "starting the program again");
    check(posix_spawn_file_actions_adddup2(&actions, file_number, inherited_executable), "starting the program again");
    check(posix_spawn_file_actions_addclosefrom_np(&actions, inherited_executable + 1), "starting the program again");

    posix_spawnattr_t attributes;
    check(posix_spawnattr_init(&attributes), "starting the program again");
    std::unique_ptr<posix_spawnattr_t, int (*)(posix_spawnattr_t*)> release_attributes{&attributes, posix_spawnattr_destroy};
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    int flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | (session == session::own ? POSIX_SPAWN_SETSID : 0);
    posix_spawnattr_setflags(&attributes, static_cast<short>(flags));

    pid_t pid = 0;
    int error = posix_spawn(&pid, "/proc/self/fd/4", &actions, &attributes, pointers(arguments).data(), pointers(environment).data());
    check(error, "starting the program again");
    return open_child(pid);
}

clone_result clone_sibling()
{
    check(injected_error(call::clone), "cloning a process");
    // What libc's fork does beyond the system call: the child must have its thread id where libc looks for it, and its
    // list of robust mutexes known to the kernel. See "known traps" in the design page.
    void* robust_list = nullptr;
    std::size_t robust_size = 0;
    void* thread_id = nullptr;
    ::syscall(SYS_get_robust_list, 0, &robust_list, &robust_size);
    ::prctl(PR_GET_TID_ADDRESS, &thread_id);

    int pidfd = -1;
    clone_args arguments{};
    arguments.flags = CLONE_PARENT | CLONE_PIDFD;
    arguments.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
    if (thread_id) {
        arguments.flags |= CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
        arguments.child_tid = reinterpret_cast<std::uint64_t>(thread_id);
    }
    long pid = ::syscall(SYS_clone3, &arguments, sizeof arguments);
    if (pid < 0)
        fail("cloning a process");
    if (pid == 0) {
        if (robust_list)
            ::syscall(SYS_set_robust_list, robust_list, robust_size);
        return {true, {}};
    }
    return {false, child{static_cast<pid_t>(pid), descriptor{pidfd}}};
}

clone_result fork_self()
{
    check(injected_error(call::fork), "forking");
    std::fflush(nullptr);
    pid_t pid = ::fork();
    if (pid < 0)
        fail("forking");
    if (pid == 0)
        return {true, {}};
    return {false, open_child(pid)};
}

int thread_count()
{
    std::unique_ptr<DIR, int (*)(DIR*)> tasks{::opendir("/proc/self/task"), ::closedir};
    if (!tasks)
        fail("counting threads");
    int count = 0;
    while (dirent* entry = ::readdir(tasks.get()))
        count += entry->d_name[0] != '.';
    return count;
}

descriptor die_with(const descriptor& lifeline)
{
    // A description of its own: who gets the signal is a property of the open file, and siblings share the inherited one.
    descriptor own = open_file(("/proc/self/fd/" + std::to_string(lifeline.get())).c_str(), O_RDONLY | O_NONBLOCK);
    if (::fcntl(own.get(), F_SETSIG, SIGKILL) < 0 || ::fcntl(own.get(), F_SETOWN, ::getpid()) < 0
        || ::fcntl(own.get(), F_SETFL, O_RDONLY | O_NONBLOCK | O_ASYNC) < 0)
        fail("binding a process to its parent");
    pollfd p{own.get(), POLLIN, 0};
    if (os::poll(&p, 1, 0) == 1) // the parent died before the signal was armed
        ::raise(SIGKILL);
    return own;
}

void outlive(const child& process, int number)
{
    descriptor theirs{static_cast<int>(::syscall(SYS_pidfd_getfd, process.pidfd(), number, 0))};
    if (!theirs || ::fcntl(theirs.get(), F_SETFL, O_RDONLY | O_NONBLOCK) < 0)
        fail("detaching a process");
}

} // namespace coproc::os
