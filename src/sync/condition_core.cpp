#include "sync/condition_core.hpp"

#include "sync/of_this_process.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <mutex>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

namespace coproc::detail {
namespace {

constexpr std::uint32_t most_waiters = 0xffff;

struct line {
    member owner = 0;
    std::uint32_t waiting = 0, notified = 0;
};

line read(std::uint64_t word) noexcept
{
    return {static_cast<member>(word >> 32), static_cast<std::uint32_t>(word >> 16) & 0xffff, static_cast<std::uint32_t>(word) & 0xffff};
}

std::uint64_t make(const line& its) noexcept
{
    return std::uint64_t{its.owner} << 32 | std::uint64_t{its.waiting} << 16 | its.notified;
}

// Changes it as `f(line)` does, unless that says no.
template <class F>
bool change(cell<std::uint64_t>& place, F f) noexcept
{
    auto word = place.load();
    for (;;) {
        auto its = read(word);
        if (!f(its))
            return false;
        if (place.compare_exchange_weak(word, make(its)))
            return true;
    }
}

// Those of this process that wait, in the order they came: notifications are theirs in that order, so that nobody takes one
// that was there before him.
struct waiters_here {
    std::mutex mutex;
    std::unordered_map<const condition_state*, std::vector<const condition_wait*>> in_order;
};

waiters_here& waiting_here() { return of_this_process<waiters_here>(); }

// The process that one of those that wait in it was told; 0: nobody waits.
member tell_one(condition_state& s, const registry& all) noexcept
{
    auto first = s.turn.fetch_add(1, std::memory_order_relaxed);
    for (std::uint32_t i = 0; i < condition_state::processes; ++i) {
        member told = 0;
        bool done = change(s.waiters[(first + i) % condition_state::processes], [&](line& its) {
            told = its.owner;
            return its.waiting > its.notified && all.is_there(its.owner) && ++its.notified != 0;
        });
        if (done)
            return told;
    }
    return 0;
}

void give_what_the_dead_did_not_take(condition_state& s, const registry& all) noexcept
{
    for (auto& place : s.waiters)
        while (true) {
            auto its = read(place.load());
            if (its.owner == 0 || all.is_there(its.owner))
                break;
            if (its.notified > 0 && notify(s, all, 1) > 0) {
                change(place, [&](line& now) { return now.owner == its.owner && now.notified > 0 && now.notified-- != 0; });
                continue;
            }
            auto dead = make(its);
            if (place.compare_exchange_strong(dead, 0))
                break;
        }
}

} // namespace

std::uint32_t notify(condition_state& s, const registry& all, std::uint32_t count) noexcept
{
    std::uint32_t told = 0;
    for (member process = 0; told < count && (process = tell_one(s, all)) != 0; ++told)
        wake_process(s.waiting, process, all);
    return told;
}

// Under the lock of those that wait here, so that a process has one line.
void condition_wait::join()
{
    auto self = all_.self();
    auto enter = [&](auto may_use) {
        return std::ranges::any_of(state_.waiters, [&](auto& place) {
            return change(place, [&](line& its) {
                if (!may_use(its) || its.waiting == most_waiters)
                    return false;
                its.owner = self;
                ++its.waiting;
                return true;
            });
        });
    };
    auto is_mine = [&](const line& its) { return its.owner == self; };
    auto is_free = [](const line& its) { return its.owner == 0; };
    auto is_not_used = [&](line& its) {
        if (its.notified > 0 || (its.waiting > 0 && all_.is_there(its.owner)))
            return false;
        its = {};
        return true;
    };
    std::scoped_lock lock{waiting_here().mutex};
    auto& mine = waiting_here().in_order[&state_];
    mine.reserve(mine.size() + 1);
    if (!enter(is_mine) && !enter(is_free) && !enter(is_not_used))
        throw std::system_error{EAGAIN, std::generic_category(), "more than 96 processes wait for a condition"};
    mine.push_back(this);
    joined_ = true;
}

// Takes this one out of those that wait, under their lock; changes its process's line as `f(line, told)` does, unless that
// says no. Told: it is among those that are notified, the first to come.
template <class F>
bool condition_wait::go(F f) noexcept
{
    auto found = waiting_here().in_order.find(&state_);
    auto& mine = found->second;
    auto me = std::ranges::find(mine, this);
    auto rank = me - mine.begin();
    bool done = std::ranges::any_of(state_.waiters, [&](auto& place) {
        return change(place, [&](line& its) {
            return its.owner == all_.self() && its.waiting > 0 && f(its, rank < static_cast<std::ptrdiff_t>(its.notified));
        });
    });
    if (done) {
        joined_ = false;
        mine.erase(me);
        if (mine.empty())
            waiting_here().in_order.erase(found);
    }
    return done;
}

bool condition_wait::is_told() noexcept
{
    std::scoped_lock lock{waiting_here().mutex};
    bool result = false;
    go([&](const line&, bool told) {
        result = told;
        return false;
    });
    return result;
}

bool condition_wait::claim() noexcept
{
    std::scoped_lock lock{waiting_here().mutex};
    return go([](line& its, bool told) {
        its.waiting -= told ? 1 : 0;
        its.notified -= told ? 1 : 0;
        return told;
    });
}

// What is too many then stays in the line until another process has it, as it does of a dead one; and nobody joins here
// meanwhile.
void condition_wait::leave() noexcept
{
    if (!joined_ || stamp_ != os::process_stamp())
        return;
    std::scoped_lock lock{waiting_here().mutex};
    bool to_the_next_here = false, to_others = false;
    go([&](line& its, bool told) {
        to_others = told && its.notified == its.waiting;
        to_the_next_here = told && !to_others;
        --its.waiting;
        return true;
    });
    if (to_others) {
        notify(state_, all_, 1);
        for (auto& place : state_.waiters)
            change(place, [&](line& its) { return its.owner == all_.self() && its.notified > its.waiting && its.notified-- != 0; });
    }
    if (to_the_next_here)
        wake_process(state_.waiting, all_.self(), all_);
}

bool condition_wait::try_now(member, unsigned)
{
    if (!joined_) {
        join();
        held_.release(); // now that everybody can tell this one
        return false;
    }
    give_what_the_dead_did_not_take(state_, all_);
    return is_told();
}

} // namespace coproc::detail
