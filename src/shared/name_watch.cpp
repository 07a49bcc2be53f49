#include "shared/name_watch.hpp"

#include "os/calls.hpp"
#include "os/child.hpp"
#include "os/error.hpp"
#include "os/named_memory.hpp"
#include "os/packet.hpp"
#include "os/stamp.hpp"
#include "os/start.hpp"

#include <array>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <fcntl.h>
#include <mutex>
#include <poll.h>
#include <set>
#include <span>
#include <string>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace coproc::detail {
namespace {

constexpr const char* role_variable = "COPROC_NAME_WATCH";

// Until a killed process is gone; then whoever wants to may look at its zombie.
constexpr int gone_milliseconds = 2000;

// How long owners may take to die after the one that is watched.
constexpr unsigned patience_seconds = 30;

struct watch {
    std::mutex mutex;
    std::uint64_t stamp = os::process_stamp();
    os::child process;
    os::descriptor names; ///< the socket to it
    int owned = 0;
    std::set<std::string> open_ends; ///< names that others owned when we let go of them

    void start();
    void tell(const std::string& name);
    void end() noexcept;
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

void watch::end() noexcept
{
    try {
        process.send_signal(SIGKILL);
        process.ended_within(gone_milliseconds);
        static_cast<void>(process.try_wait());
    } catch (const std::exception&) { // somebody else's waitpid was faster
    }
    process = {};
    names.reset();
}

void watch::start()
{
    os::descriptor self{os::open_process(::getpid())};
    if (!self)
        os::fail("watching over named shared memory");
    auto [ours, theirs] = os::make_packet_pair();
    auto program = os::open_file("/proc/self/exe", O_PATH);
    std::vector<std::string> environment{std::string{role_variable} + "=1"};
    for (char** variable = environ; variable && *variable; ++variable)
        environment.emplace_back(*variable);
    const std::byte byte{};
    int descriptors[] = {self.get()};
    os::send_packet(ours.get(), std::span{&byte, 1}, descriptors);
    process = os::spawn(program, theirs, {"coproc: removes the shared memory of " + std::to_string(::getpid()) + " after its end"}, environment,
                        os::session::own);
    names = std::move(ours);
}

void watch::tell(const std::string& name)
{
    if (!name.empty())
        static_cast<void>(os::send_packet_blocking(names.get(), std::as_bytes(std::span{name}), {}));
}

// The other side.

void leave_to_owners(const std::string& name)
{
    if (::fork() != 0)
        return;
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::alarm(patience_seconds); // ends this process: who owns it then has a watch
    os::tidy_after_owners(name);
    ::_exit(0);
}

[[noreturn]] void watch_over(int socket)
{
    std::array<std::byte, 256> bytes; // a name has 255 at most
    std::set<std::string> names;
    os::descriptor parent;
    for (bool ended = false, heard = false; !ended || heard;) {
        pollfd waiting[] = {{socket, POLLIN, 0}, {parent.get(), POLLIN, 0}};
        os::poll(waiting, 2, ended ? 0 : -1);
        heard = waiting[0].revents != 0;
        ended = ended || (parent && waiting[1].revents != 0);
        if (!heard)
            continue;
        auto packet = os::receive_packet(socket, bytes, os::wait::no);
        if (packet.what == os::received::end) {
            socket = -1; // closed by a program that closes all it finds; poll passes it over
            if (!parent)
                break;
        } else if (!packet.descriptors.empty())
            parent = std::move(packet.descriptors[0]);
        else if (packet.what == os::received::packet)
            names.emplace(reinterpret_cast<const char*>(bytes.data()), packet.size);
    }
    os::tidy_all();
    for (auto& name : names)
        if (os::tidy(name) == os::tidied::has_owners)
            leave_to_owners(name);
    ::_exit(0);
}

// Before anything of the program runs, its static objects included.
[[gnu::constructor(101)]] void become_watch()
{
    struct stat status{};
    if (!std::getenv(role_variable) || ::fstat(os::inherited_socket, &status) != 0 || !S_ISSOCK(status.st_mode))
        return;
    sigset_t all;
    sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, nullptr);
    ::prctl(PR_SET_NAME, "coproc watch");
    for (int number : {0, 1, 2, os::inherited_executable})
        ::close(number);
    try {
        watch_over(os::inherited_socket);
    } catch (const std::exception&) {
        ::_exit(1);
    }
}

} // namespace

void begin_name_watch(const std::string& name)
{
    auto& watch = this_watch();
    std::scoped_lock lock{watch.mutex};
    if (watch.process && watch.process.ended_within(0))
        watch.end();
    if (!watch.process)
        watch.start();
    watch.tell(name);
    ++watch.owned;
}

void tell_name_watch(const std::string& name)
{
    auto& watch = this_watch();
    std::scoped_lock lock{watch.mutex};
    watch.tell(name);
}

void end_name_watch(const std::string& name) noexcept
{
    auto& watch = this_watch();
    std::scoped_lock lock{watch.mutex};
    --watch.owned;
    if (!name.empty())
        watch.open_ends.insert(name);
    std::erase_if(watch.open_ends, [](auto& one) { return os::tidy(one) != os::tidied::has_owners; });
    if (watch.owned == 0 && watch.open_ends.empty() && watch.process)
        watch.end();
}

int name_watch_pid()
{
    auto& watch = this_watch();
    std::scoped_lock lock{watch.mutex};
    return watch.process ? watch.process.pid() : 0;
}

} // namespace coproc::detail
