// The protocols of the room sync, compiled once more for virtual processes (see schedule.hpp). A test does
//
//     #define detail explored_NAME       // two names of its own: everything is in coproc::explored_NAME
//     #define os explored_NAME_os
//     #include "sync/explorer.hpp"
//     #include "../../src/sync/NAME_core.cpp"
//     #undef detail
//     #undef os
//
// and derives from `exploration`. What runs is the real gate.cpp, party.cpp, turn.hpp and what the test includes. What stands
// in for the kernel and for the table of processes is here: descriptors, doorbells, pidfds, registry. Gates have two places
// instead of fourteen, so that three sleepers are a crowd, and other things are as small.
#pragma once

#define COPROC_EXPLORE
#include "sync/schedule.hpp"

#include "support/slowness.hpp"

// What users see is not explored, and stays what it is.
#pragma push_macro("detail")
#undef detail
#include <coproc/detail/shared_object.hpp>
namespace explorer {
using coproc::detail::object_header;
using coproc::detail::object_kind;
} // namespace explorer
#pragma pop_macro("detail")

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <concepts>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

#include <poll.h>
#include <unistd.h>

#ifndef EXPLORED_PLACES_OF_PROCESSES
#define EXPLORED_PLACES_OF_PROCESSES 3
#endif

namespace coproc::detail {

using explorer::cell;
using explorer::object_header;
using explorer::object_kind;
inline constexpr std::size_t gate_places = 2;
inline constexpr std::uint32_t places_of_processes = EXPLORED_PLACES_OF_PROCESSES;
inline constexpr std::uint32_t shares_in_an_entry = 1;
inline constexpr std::uint32_t member_places = 8;

inline std::vector<std::function<void()>> forget_what_processes_have;
template <class T>
T& of_this_process()
{
    static std::array<std::unique_ptr<T>, explorer::schedule::most> all;
    static const bool known = (forget_what_processes_have.push_back([] { all = {}; }), true);
    static_cast<void>(known);
    auto& mine = all[explorer::schedule::now().running()];
    if (!mine)
        mine = std::make_unique<T>();
    return *mine;
}

} // namespace coproc::detail

#include "os/calls.hpp"
#include "os/descriptor.hpp"
#include "os/doorbell.hpp"
#include "os/error.hpp"
#include "os/memory_file.hpp"
#include "os/stamp.hpp"
#include "os/watch_set.hpp"
#include "sync/gate.hpp"
#include "sync/party.hpp"
#include "sync/registry.hpp"
#include "sync/turn.hpp"

#include "../../src/sync/gate.cpp"
#include "../../src/sync/party.cpp"

namespace coproc::detail {

/// What stands in for the kernel and the table.
struct world {
    static constexpr std::size_t most = explorer::schedule::most;
    // Process i is the member 1 + i, has this pid, and its pidfds this number; its only sleeper and its doorbell are 11 + i,
    // its set of watched descriptors 21 + i.
    struct entry {
        bool there, sleeping;
    };
    std::array<entry, most> processes, sleepers;
    std::array<bool, most> rings;
    std::array<std::array<int, most>, most> watches; ///< [who][whom]: 0 no, 1 yes, 2 and was told
    std::uint32_t version, deaths;
    bool deaf;          ///< on purpose: nobody is rung
    bool deaths_untold; ///< on purpose: nobody sees that a process has ended

    std::uint64_t hash() const
    {
        std::uint64_t result = version * 1000 + deaths;
        auto add = [&](int n) { result = explorer::schedule::mix(result * 4 + static_cast<std::uint64_t>(n)); };
        for (std::size_t i = 0; i < most; ++i) {
            add(processes[i].there | processes[i].sleeping << 1);
            add(sleepers[i].there | sleepers[i].sleeping << 1);
            add(rings[i]);
            for (int watch : watches[i])
                add(watch);
        }
        return result;
    }
    bool readable(std::size_t who) const
    {
        if (rings[who])
            return true;
        for (std::size_t whom = 0; whom < most; ++whom)
            if (watches[who][whom] == 1 && has_died(whom))
                return true;
        return false;
    }
    bool has_died(std::size_t whom) const { return !deaths_untold && !explorer::schedule::now().alive(whom); }
};

inline world here;

inline void step(const char* what) { explorer::schedule::now().step(what); }
template <class T>
T seen(T value)
{
    explorer::schedule::now().reads(static_cast<std::uint64_t>(value));
    return value;
}
inline std::size_t this_process() { return explorer::schedule::now().running(); }

// The table.

struct registry::layout {};

inline registry::registry() : self_{static_cast<member>(1 + this_process())} {}
inline registry& registry::here()
{
    static std::array<std::unique_ptr<registry>, world::most> all;
    auto& mine = all[this_process()];
    if (!mine)
        mine.reset(new registry);
    return *mine;
}
inline member registry::add_sleeper()
{
    detail::here.sleepers[this_process()] = {true, false};
    return static_cast<member>(11 + this_process());
}
inline void registry::remove(member who) noexcept { detail::here.sleepers[who - 11].there = false; }
inline void registry::set_sleeping(member who, bool on) noexcept
{
    step("says whether it sleeps");
    detail::here.sleepers[who - 11].sleeping = on;
}
inline bool registry::is_there(member who) const noexcept
{
    step("asks who is there");
    return seen(who > 10 ? detail::here.sleepers[who - 11].there : detail::here.processes[who - 1].there);
}
inline member registry::process_of(member who) const noexcept { return is_there(who) ? who - 10 : 0; }
inline void registry::bury(member dead) noexcept
{
    step("counts a death");
    ++detail::here.deaths;
    step("frees a sleeper");
    detail::here.sleepers[dead - 1].there = false;
    step("frees a process");
    detail::here.processes[dead - 1].there = false;
}
inline void registry::check(member process) noexcept
{
    if (process == self_ || !is_there(process))
        return;
    step("asks the kernel");
    if (seen(detail::here.has_died(process - 1)))
        bury(process);
}
inline std::uint32_t registry::version() const noexcept
{
    step("reads the version");
    return seen(detail::here.version);
}
inline std::uint32_t registry::deaths() const noexcept
{
    step("reads the deaths");
    return seen(detail::here.deaths);
}
inline void registry::for_each_process(const std::function<void(const member_table::process_entry&)>& f) const
{
    for (std::size_t i = 0; i < world::most; ++i) {
        auto who = static_cast<member>(1 + i);
        if (who == self_)
            continue;
        if (i < explorer::schedule::now().bodies.size() && is_there(who))
            f({who, static_cast<pid_t>(who), start_mark(1)});
    }
}
inline bool registry::ring(member who) const noexcept
{
    if (who == 0 || !is_there(who))
        return false;
    step("rings");
    auto whom = who - 11;
    bool has_bell = seen(explorer::schedule::now().alive(whom));
    if (has_bell && !detail::here.deaf)
        detail::here.rings[whom] = true;
    return has_bell;
}
inline void registry::ring_all() const noexcept
{
    for (std::size_t i = 0; i < explorer::schedule::now().bodies.size(); ++i) {
        step("looks for a sleeper");
        if (seen(detail::here.sleepers[i].there && detail::here.sleepers[i].sleeping))
            ring(static_cast<member>(11 + i));
    }
}
inline std::unique_ptr<os::doorbell> registry::make_doorbell(member who) const
{
    return std::make_unique<os::doorbell>(std::to_string(who));
}
inline std::uint64_t start_time_of(pid_t pid) noexcept
{
    step("reads the start time");
    return seen(!detail::here.has_died(static_cast<std::size_t>(pid - 1)));
}

/// As registry's constructor does when a process first shares something.
inline void enters()
{
    step("enters");
    here.processes[this_process()].there = true;
    step("changes the version");
    ++here.version;
    registry::here().ring_all();
}

/// The party of a virtual process.
class virtual_party final : public party {
public:
    /// Until one of its sleepers may have been rung; false: cancelled.
    bool sleep()
    {
        auto who = this_process();
        if (!explorer::schedule::now().sleep([who] { return here.readable(who); }))
            return false;
        look();
        return true;
    }
    /// What block_for_turn does.
    template <waitable W>
    bool wait(W& what)
    {
        for (unsigned tries = 0;; ++tries) {
            auto s = blocked_thread::make_sleeper();
            turn_in_line<W> turn{*this, s, what};
            if (turn.look(tries))
                return true;
            while (!s->rung())
                if (!sleep())
                    return false;
            turn.comes_back();
        }
    }
};

} // namespace coproc::detail

// The kernel.
namespace coproc::os {

inline descriptor::descriptor(int number) noexcept : number_{number} {}
inline void descriptor::reset() noexcept { number_ = -1; }
inline int descriptor::release() noexcept { return std::exchange(number_, -1); }
inline mapping::~mapping() = default;
inline bell_ringer::bell_ringer() = default;
inline doorbell::doorbell(std::string_view name) : socket_{std::stoi(std::string{name})} {}
inline void doorbell::quiet() const noexcept
{
    detail::step("quiets its bell");
    detail::here.rings[detail::this_process()] = false;
}
inline watch_set::watch_set() : set_{static_cast<int>(21 + detail::this_process())} {}
inline void watch_set::add_readable(int number, std::uint64_t) const
{
    if (number < 11)
        detail::here.watches[detail::this_process()][static_cast<std::size_t>(number - 1)] = 1;
}
inline void watch_set::collect(std::vector<std::uint64_t>& tokens) const
{
    detail::step("collects what is new");
    auto who = detail::this_process();
    std::uint64_t all = 0;
    for (std::size_t whom = 0; whom < detail::world::most; ++whom)
        if (detail::here.watches[who][whom] == 1 && detail::here.has_died(whom)) {
            detail::here.watches[who][whom] = 2;
            tokens.push_back(1 + whom);
            all = all << 3 | (1 + whom);
        }
    detail::seen(all);
}
inline int open_process(pid_t pid)
{
    detail::step("opens a pidfd");
    if (detail::seen(detail::here.has_died(static_cast<std::size_t>(pid - 1)))) {
        errno = ESRCH;
        return -1;
    }
    return pid;
}
inline int poll(pollfd*, std::size_t, int) { return 0; }
inline void fail(int error, const char* operation) { throw std::system_error{error, std::generic_category(), operation}; }
inline std::uint64_t process_stamp() noexcept { return 1 + detail::this_process(); }

} // namespace coproc::os

namespace coproc::detail {

/// Virtual processes that share a State, and what must be true of it.
template <class State>
class exploration {
public:
    exploration() = default;
    exploration(const exploration&) = delete;
    exploration& operator=(const exploration&) = delete;
    virtual ~exploration() = default;

    State& state() { return *std::launder(reinterpret_cast<State*>(memory_)); }
    /// Of the process that runs. As a loop's, it stays when its sleepers leave.
    virtual_party& party() { return *(parties_[this_process()] = std::make_unique<virtual_party>()); }

    explorer::findings run(explorer::budget b)
    {
        if (support::slowness > 1) // a sanitizer is there for the memory, not for the protocol
            b.switches = std::max(0, std::min(b.switches, 2) - (b.deaths + b.cancellations > 0));
        if (const char* more = std::getenv("COPROC_EXPLORE_MORE")) // switches, by somebody who has time
            b.switches += std::atoi(more);
        return explore(b);
    }
    /// Of what is broken on purpose: until it is found.
    std::string finds(explorer::budget b) { return explore(b).failure; }

    explorer::schedule all;
    bool deaf = false, deaths_untold = false;
    std::vector<std::size_t> late; ///< not in the table from the beginning

protected:
    /// Before each schedule, when the state is all zero.
    virtual void begin() = 0;
    /// Of all that the checks remember.
    virtual std::uint64_t hash_of_model() const = 0;
    /// So many bytes of the state, from its beginning; hash_of_model tells the rest.
    virtual std::size_t size_that_counts() const { return sizeof(State); }
    virtual void died(std::size_t) {}
    /// At each step: nobody is in the middle of an instruction.
    virtual void check() {}
    /// All have ended, or died, or rightly sleep.
    virtual void ended() {}
    virtual bool may_hang() { return false; }

private:
    explorer::findings explore(explorer::budget b)
    {
        all.prepare = [this] {
            std::memset(memory_, 0, sizeof memory_);
            new (memory_) State{};
            parties_ = {};
            for (auto& forget : forget_what_processes_have)
                forget();
            here = {};
            here.deaf = deaf;
            here.deaths_untold = deaths_untold;
            for (std::size_t i = 0; i < all.bodies.size(); ++i)
                here.processes[i].there = std::ranges::find(late, i) == late.end();
            begin();
        };
        all.shared_state = [this] {
            std::uint64_t hash = explorer::schedule::mix(here.hash() ^ hash_of_model());
            for (std::size_t at = 0, end = size_that_counts(), word = 0; at < end; at += sizeof word) {
                std::memcpy(&word, memory_ + at, sizeof word);
                hash = explorer::schedule::mix(hash ^ word);
            }
            return hash;
        };
        all.on_death = [this](std::size_t who) { died(who); };
        all.at_each_step = [this] {
            if (!all.ghosts())
                check();
        };
        all.at_end = [this] { ended(); };
        all.may_hang = [this] { return may_hang(); };
        return all.explore(b);
    }

    alignas(64) std::byte memory_[sizeof(State)];
    std::array<std::unique_ptr<virtual_party>, world::most> parties_;
};

} // namespace coproc::detail

#define CHECK_NOTHING_FOUND(...)                                                                                             \
    do {                                                                                                                     \
        const explorer::findings found = __VA_ARGS__;                                                                        \
        INFO(found.schedules << " schedules, " << found.states << " states");                                                \
        if (std::getenv("COPROC_TELL"))                                                                                      \
            WARN(found.schedules << " schedules, " << found.states << " states");                                            \
        CHECK(found.failure == "");                                                                                          \
    } while (false)
