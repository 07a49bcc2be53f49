#include "shared/name_watch.hpp"

#include "os/calls.hpp"
#include "os/child.hpp"
#include "os/error.hpp"
#include "os/named_memory.hpp"
#include "os/stamp.hpp"
#include "os/start.hpp"

#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <fcntl.h>
#include <mutex>
#include <poll.h>
#include <string>
#include <sys/prctl.h>
#include <unistd.h>
#include <vector>

namespace coproc::detail {
namespace {

constexpr const char* role_variable = "COPROC_NAME_WATCH";

// Until a killed process is gone; then whoever wants to may look at its zombie.
constexpr int gone_milliseconds = 2000;

struct watch {
    std::mutex mutex;
    std::uint64_t stamp = os::process_stamp();
    os::child process;
    int owned = 0;
    bool all_settled = true;
};

watch& this_watch()
{
    static std::mutex mutex;
    static watch* instance = new watch; // never destroyed: handles may be static objects
    std::scoped_lock lock{mutex};
    if (instance->stamp != os::process_stamp())
        instance = new watch; // in a copy of the process: the other one is the parent's
    return *instance;
}

void reap(os::child& process) noexcept
{
    try {
        process.send_signal(SIGKILL);
        process.ended_within(gone_milliseconds);
        static_cast<void>(process.try_wait());
    } catch (const std::exception&) { // somebody else's waitpid was faster
    }
    process = {};
}

os::child start()
{
    os::descriptor self{os::open_process(::getpid())};
    if (!self)
        os::fail("watching over named shared memory");
    auto program = os::open_file("/proc/self/exe", O_PATH);
    std::vector<std::string> environment{std::string{role_variable} + "=1"};
    for (char** variable = environ; variable && *variable; ++variable)
        environment.emplace_back(*variable);
    return os::spawn(program, self, {"coproc: removes the shared memory of " + std::to_string(::getpid()) + " after its end"}, environment);
}

// Before anything of the program runs, its static objects included.
[[gnu::constructor(101)]] void become_watch()
{
    if (!std::getenv(role_variable))
        return;
    char target[32]{};
    if (::readlink("/proc/self/fd/3", target, sizeof target - 1) <= 0 || std::string{target}.find("pidfd") == std::string::npos)
        return;
    ::setsid();
    sigset_t all;
    sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, nullptr);
    ::prctl(PR_SET_NAME, "coproc watch");
    for (int number : {0, 1, 2, os::inherited_executable})
        ::close(number);
    pollfd parent{os::inherited_socket, POLLIN, 0};
    os::poll(&parent, 1, -1);
    os::tidy_all();
    ::_exit(0);
}

} // namespace

void begin_name_watch()
{
    auto& watch = this_watch();
    std::scoped_lock lock{watch.mutex};
    if (watch.process && watch.process.ended_within(0))
        reap(watch.process);
    if (!watch.process)
        watch.process = start();
    ++watch.owned;
}

void end_name_watch(bool settled) noexcept
{
    auto& watch = this_watch();
    std::scoped_lock lock{watch.mutex};
    watch.all_settled = watch.all_settled && settled;
    if (--watch.owned == 0 && watch.all_settled && watch.process)
        reap(watch.process);
}

int name_watch_pid()
{
    auto& watch = this_watch();
    std::scoped_lock lock{watch.mutex};
    return watch.process ? watch.process.pid() : 0;
}

} // namespace coproc::detail
