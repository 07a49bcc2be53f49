#include "sync/registry.hpp"

#include "os/calls.hpp"
#include "os/program_file.hpp"
#include "os/stamp.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <mutex>
#include <poll.h>
#include <string>
#include <sys/random.h>
#include <system_error>
#include <unistd.h>

namespace coproc::detail {

// All zero at first.
struct registry::entry {
    std::atomic<std::uint32_t> state;   // generation * 4 + kind
    std::atomic<member> process;        // a sleeper's
    std::atomic<std::int32_t> pid;      // a process's
    std::atomic<std::uint32_t> sleeping;
    std::atomic<std::uint64_t> started; // a process's
    std::atomic<std::uint64_t> reserved;
};

namespace {

constexpr std::uint32_t places = 8192, place_bits = 13, generations = 1u << (32 - place_bits);
enum kind : std::uint32_t { nobody = 0, entering = 1, process = 2, sleeper = 3 };

// Place 0 is not used, so that no member is 0.
std::uint32_t place_of(member who) noexcept { return who % places; }
std::uint32_t generation_of(member who) noexcept { return who >> place_bits; }
member make_member(std::uint32_t place, std::uint32_t generation) noexcept { return generation << place_bits | place; }

} // namespace

struct registry::layout {
    std::atomic<std::uint64_t> name; // of the program, by chance
    std::atomic<std::uint32_t> used; // places that were ever taken
    std::atomic<std::uint32_t> version;
    std::atomic<std::uint32_t> deaths;
    alignas(64) std::array<entry, places> entries;
};

registry& registry::here()
{
    static std::mutex mutex;
    static std::atomic<registry*> instance{nullptr};
    static std::atomic<std::uint64_t> stamp{0};
    auto mine = os::process_stamp();
    if (stamp.load(std::memory_order_acquire) == mine) [[likely]]
        return *instance.load(std::memory_order_relaxed);
    std::scoped_lock lock{mutex};
    if (stamp.load(std::memory_order_relaxed) != mine) {
        instance.store(new registry, std::memory_order_relaxed); // never destroyed; a copied process leaves the old one
        stamp.store(mine, std::memory_order_release);
    }
    return *instance.load(std::memory_order_relaxed);
}

registry::registry() : memory_{os::map(os::program_file(), os::program_file_size, os::access::read_write)}
{
    static_assert(sizeof(layout) <= os::program_file_size);
    std::uint64_t name = 0;
    if (shared().name.load() == 0) {
        while (::getrandom(&name, sizeof name, 0) != sizeof name || name == 0) {
        }
        std::uint64_t none = 0;
        shared().name.compare_exchange_strong(none, name);
    }
    auto pid = ::getpid();
    self_ = enter(process, 0, pid, start_time_of(pid));
    shared().version.fetch_add(1);
    ring_all(); // they are to watch this one too
}

registry::entry& registry::at(member who) const noexcept { return shared().entries[place_of(who)]; }
std::uint32_t registry::used() const noexcept { return std::min(shared().used.load(), places - 1); }

member registry::enter(std::uint32_t kind, member owner, pid_t pid, std::uint64_t started)
{
    if (auto who = try_enter(kind, owner, pid, started))
        return who;
    // Processes that have ended are only noticed by those that sleep.
    for_each_process([&](const process_entry& p) { check(p.who); });
    if (auto who = try_enter(kind, owner, pid, started))
        return who;
    throw std::system_error{EAGAIN, std::generic_category(), "sharing with more than 8191 processes, loops and threads"};
}

member registry::try_enter(std::uint32_t kind, member owner, pid_t pid, std::uint64_t started) noexcept
{
    auto take = [&](std::uint32_t place) -> member {
        auto& its = shared().entries[place];
        auto state = its.state.load();
        auto generation = (state >> 2) + 1;
        if ((state & 3) != nobody || !its.state.compare_exchange_strong(state, generation << 2 | entering))
            return 0;
        its.process.store(owner);
        its.pid.store(pid);
        its.started.store(started);
        its.sleeping.store(0);
        its.state.store(generation << 2 | kind);
        return make_member(place, generation % generations);
    };
    for (std::uint32_t place = 1; place <= used(); ++place)
        if (auto who = take(place))
            return who;
    while (used() < places - 1)
        if (auto who = take(shared().used.fetch_add(1) + 1 < places ? used() : places - 1))
            return who;
    return 0;
}

member registry::add_sleeper() { return enter(sleeper, self_, 0, 0); }

void registry::remove(member who) noexcept
{
    auto& its = at(who); // its place may be another one's by now
    auto state = its.state.load();
    if (((state >> 2) % generations) == generation_of(who))
        its.state.compare_exchange_strong(state, state & ~3u);
}

void registry::set_sleeping(member who, bool on) noexcept { at(who).sleeping.store(on); }

bool registry::is_there(member who) const noexcept
{
    auto state = at(who).state.load();
    return (state & 3) >= process && (state >> 2) % generations == generation_of(who);
}

member registry::process_of(member who) const noexcept { return is_there(who) ? at(who).process.load() : 0; }

void registry::bury(member dead) noexcept
{
    shared().deaths.fetch_add(1);
    for (std::uint32_t place = 1; place <= used(); ++place) {
        auto& its = shared().entries[place];
        if (auto state = its.state.load(); (state & 3) == sleeper && its.process.load() == dead)
            its.state.compare_exchange_strong(state, state & ~3u);
    }
    remove(dead);
}

void registry::check(member process) noexcept
{
    if (process == self_ || !is_there(process))
        return;
    auto pid = at(process).pid.load();
    auto started = at(process).started.load();
    int watch = os::open_process(pid);
    pollfd ended{watch, POLLIN, 0};
    bool gone = watch < 0 ? errno == ESRCH : os::poll(&ended, 1, 0) > 0 || start_time_of(pid) != started;
    if (watch >= 0)
        ::close(watch);
    if (gone && is_there(process))
        bury(process);
}

std::uint32_t registry::version() const noexcept { return shared().version.load(); }
std::uint32_t registry::deaths() const noexcept { return shared().deaths.load(); }

void registry::for_each_process(const std::function<void(const process_entry&)>& f) const
{
    for (std::uint32_t place = 1; place <= used(); ++place) {
        auto& its = shared().entries[place];
        auto state = its.state.load();
        auto who = make_member(place, (state >> 2) % generations);
        if ((state & 3) == process && who != self_)
            f({who, its.pid.load(), its.started.load()});
    }
}

namespace {

std::string bell_name(std::uint64_t program, member who)
{
    char text[40];
    std::snprintf(text, sizeof text, "coproc-%016llx-%08x", static_cast<unsigned long long>(program), who);
    return text;
}

} // namespace

bool registry::ring(member who) const noexcept
{
    return who != 0 && is_there(who) && ringer_.ring(bell_name(shared().name.load(std::memory_order_relaxed), who));
}

void registry::ring_all() const noexcept
{
    for (std::uint32_t place = 1; place <= used(); ++place) {
        auto& its = shared().entries[place];
        if (auto state = its.state.load(); (state & 3) == sleeper && its.sleeping.load() != 0)
            ring(make_member(place, (state >> 2) % generations));
    }
}

std::unique_ptr<os::doorbell> registry::make_doorbell(member who) const
{
    return std::make_unique<os::doorbell>(bell_name(shared().name.load(), who));
}

std::uint64_t start_time_of(pid_t pid) noexcept
{
    char path[32], text[1024];
    std::snprintf(path, sizeof path, "/proc/%d/stat", static_cast<int>(pid));
    int file = ::open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    auto size = ::read(file, text, sizeof text - 1);
    ::close(file);
    if (size <= 0)
        return 0;
    text[size] = 0;
    const char* at = std::strrchr(text, ')'); // the name before it may hold anything
    for (int field = 2; at && field < 22; ++field) // the start time is the 22nd
        at = std::strchr(at + 1, ' ');
    return at ? std::strtoull(at, nullptr, 10) : 0;
}

} // namespace coproc::detail
