#include "sync/condition_core.hpp"

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

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
bool change(std::atomic<std::uint64_t>& place, F f) noexcept
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
        if (its.waiting > 0 && (its.notified > 0 || all_.is_there(its.owner)))
            return false;
        its = {};
        return true;
    };
    if (!enter(is_mine) && !enter(is_free) && !enter(is_not_used))
        throw std::system_error{EAGAIN, std::generic_category(), "more than 96 processes wait for a condition"};
    joined_ = true;
}

// Changes one of this process's lines.
template <class F>
bool condition_wait::change_mine(F f) noexcept
{
    return std::ranges::any_of(state_.waiters, [&](auto& place) {
        return change(place, [&](line& its) { return its.owner == all_.self() && its.waiting > 0 && f(its); });
    });
}

bool condition_wait::claim() noexcept
{
    bool more = false;
    bool done = change_mine([&](line& its) {
        if (its.notified == 0)
            return false;
        --its.waiting;
        more = --its.notified > 0;
        return true;
    });
    if (more) // a party wakes one of its waiters at a time
        wake_process(state_.waiting, all_.self(), all_);
    return done;
}

void condition_wait::leave() noexcept
{
    if (!std::exchange(joined_, false) || stamp_ != os::process_stamp())
        return;
    bool more = false;
    bool done = change_mine([&](line& its) {
        more = its.notified > 0;
        return its.notified < its.waiting && its.waiting-- != 0;
    });
    if (done) {
        if (more) // perhaps this one was woken for it
            wake_process(state_.waiting, all_.self(), all_);
        return;
    }
    change_mine([](line& its) { // each of those that wait is told: another process gets what this one was told
        --its.waiting;
        --its.notified;
        return true;
    });
    notify(state_, all_, 1);
}

bool condition_wait::try_now(member, unsigned)
{
    if (!joined_) {
        join();
        held_.release(); // now that everybody can tell this one
        return false;
    }
    give_what_the_dead_did_not_take(state_, all_);
    joined_ = !claim();
    return !joined_;
}

} // namespace coproc::detail
