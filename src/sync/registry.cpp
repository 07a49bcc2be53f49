#include "sync/registry.hpp"

#include "os/calls.hpp"
#include "os/program_file.hpp"
#include "os/stamp.hpp"

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

struct registry::layout {
    cell<std::uint64_t> name; // of the program, by chance
    alignas(64) member_table members;
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
    if (name().load() == 0) {
        std::uint64_t chosen = 0, none = 0;
        while (::getrandom(&chosen, sizeof chosen, 0) != sizeof chosen || chosen == 0) {
        }
        name().compare_exchange_strong(none, chosen);
    }
    auto pid = ::getpid();
    auto mark = start_mark(start_time_of(pid));
    self_ = enter([&] { return table().enter_process(pid, mark); });
    table().version.fetch_add(1);
    ring_all(); // they are to watch this one too
}

cell<std::uint64_t>& registry::name() const noexcept { return reinterpret_cast<layout*>(memory_.data())->name; }
member_table& registry::table() const noexcept { return reinterpret_cast<layout*>(memory_.data())->members; }

member registry::enter(const std::function<member()>& f)
{
    if (auto who = f())
        return who;
    // Processes that have ended are only noticed by those that sleep.
    table().for_each_process([&](const member_table::process_entry& p) { check(p.who); });
    if (auto who = f())
        return who;
    throw std::system_error{EAGAIN, std::generic_category(), "sharing with more than 8191 processes, loops and threads"};
}

member registry::add_sleeper()
{
    return enter([this] { return table().enter_sleeper(self_); });
}

void registry::remove(member who) noexcept { table().remove(who); }
void registry::set_sleeping(member who, bool on) noexcept { table().set_sleeping(who, on); }
bool registry::is_there(member who) const noexcept { return table().is_there(who); }
member registry::process_of(member who) const noexcept { return table().process_of(who); }
void registry::bury(member dead) noexcept { table().bury(dead); }
std::uint32_t registry::version() const noexcept { return table().version.load(); }
std::uint32_t registry::deaths() const noexcept { return table().deaths.load(); }

void registry::for_each_process(const std::function<void(const member_table::process_entry&)>& f) const
{
    table().for_each_process([&](const member_table::process_entry& p) {
        if (p.who != self_)
            f(p);
    });
}

void registry::check(member process) noexcept
{
    auto its = table().process_at(process);
    if (process == self_ || its.who == 0)
        return;
    int watch = os::open_process(its.pid);
    pollfd ended{watch, POLLIN, 0};
    bool gone = watch < 0 ? errno == ESRCH : os::poll(&ended, 1, 0) > 0 || start_mark(start_time_of(its.pid)) != its.start_mark;
    if (watch >= 0)
        ::close(watch);
    if (gone && is_there(process))
        bury(process);
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
    return who != 0 && is_there(who) && ringer_.ring(bell_name(name().load(std::memory_order_relaxed), who));
}

void registry::ring_all() const noexcept
{
    table().for_each_that_sleeps([this](member who) { ring(who); });
}

std::unique_ptr<os::doorbell> registry::make_doorbell(member who) const
{
    return std::make_unique<os::doorbell>(bell_name(name().load(), who));
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
