#include <coproc/shared_mutex.hpp>

#include "sync/mutex_object.hpp"
#include "sync/shared_mutex_core.hpp"
#include "sync/waiting.hpp"

#include <coproc/error.hpp>

namespace coproc {

using namespace detail;

namespace {

shared_mutex_state& state_at(std::byte* place) { return *reinterpret_cast<shared_mutex_state*>(place); }

shared_mutex_guard guard_of(std::shared_ptr<object_place> place, access how, const access_taken& taken)
{
    auto& s = state_at(place->at);
    return {std::move(place), s, taken.account, how == access::exclusive, taken.owner_died};
}

task<std::optional<shared_mutex_guard>> acquire_by(std::shared_ptr<object_place> place, access how, sleep_limit until)
{
    if (had_its_turn()) {
        auto others = let_others_run();
        co_await std::move(others);
    }
    auto& s = state_at(place->at);
    auto& all = registry::here();
    auto taken = try_take(s, all, how, 0);
    if (!taken.yes) {
        shared_mutex_wait wait{s, all, how};
        auto turn = wait_for_turn(wait, until);
        if (!co_await std::move(turn))
            co_return std::nullopt;
        taken = wait.result();
    }
    co_return guard_of(std::move(place), how, taken);
}

task<shared_mutex_guard> acquire_from(std::shared_ptr<object_place> place, access how)
{
    auto guard = acquire_by(std::move(place), how, sleep_limit::max());
    auto taken = co_await std::move(guard);
    co_return std::move(*taken);
}

std::optional<shared_mutex_guard> acquire_now(std::shared_ptr<object_place> place, access how)
{
    auto taken = try_take_now(state_at(place->at), how);
    if (!taken.yes)
        return std::nullopt;
    return guard_of(std::move(place), how, taken);
}

bool lock_by(shared_mutex_state& s, access how, sleep_limit until)
{
    auto& all = registry::here();
    if (try_take(s, all, how, 0).yes)
        return true;
    shared_mutex_wait wait{s, all, how};
    return block_for_turn(wait, until);
}

} // namespace

void detail::shared_mutex_hold::give_back(std::shared_ptr<object_place>& place) noexcept
{
    auto kept = std::move(place);
    if (auto* s = std::exchange(state, nullptr))
        if (auto& all = registry::here(); owner == all.self()) // not in a copy of its process
            detail::give_back(*s, all, exclusive ? access::exclusive : access::shared, owner, account);
}

shared_mutex_guard::shared_mutex_guard(std::shared_ptr<object_place> place, shared_mutex_state& state, std::uint32_t account,
                                       bool exclusive, bool owner_died) noexcept
    : guard{std::move(place), {&state, registry::here().self(), account, exclusive, owner_died}}
{
}

shared_mutex::shared_mutex() noexcept : shared_object{object_kind::shared_mutex, sizeof(shared_mutex_state)} {}

task<shared_mutex_guard> shared_mutex::acquire() const { return acquire_from(place(), access::exclusive); }
std::optional<shared_mutex_guard> shared_mutex::try_acquire() const { return acquire_now(place(), access::exclusive); }
task<std::optional<shared_mutex_guard>> shared_mutex::try_acquire_for(std::chrono::nanoseconds time) const
{
    return acquire_by(place(), access::exclusive, limit_in(time));
}

task<shared_mutex_guard> shared_mutex::acquire_shared() const { return acquire_from(place(), access::shared); }
std::optional<shared_mutex_guard> shared_mutex::try_acquire_shared() const { return acquire_now(place(), access::shared); }
task<std::optional<shared_mutex_guard>> shared_mutex::try_acquire_shared_for(std::chrono::nanoseconds time) const
{
    return acquire_by(place(), access::shared, limit_in(time));
}

void shared_mutex::lock() const { static_cast<void>(lock_by(state_at(get()), access::exclusive, sleep_limit::max())); }
bool shared_mutex::try_lock() const { return try_take_now(state_at(get()), access::exclusive).yes; }
bool shared_mutex::try_lock_for(std::chrono::nanoseconds time) const
{
    return lock_by(state_at(get()), access::exclusive, limit_in(time));
}
void shared_mutex::unlock() const
{
    if (!give_any_back(state_at(get()), registry::here(), access::exclusive))
        throw usage_error{"this process is not the writer of the shared mutex that it unlocks"};
}

void shared_mutex::lock_shared() const { static_cast<void>(lock_by(state_at(get()), access::shared, sleep_limit::max())); }
bool shared_mutex::try_lock_shared() const { return try_take_now(state_at(get()), access::shared).yes; }
bool shared_mutex::try_lock_shared_for(std::chrono::nanoseconds time) const
{
    return lock_by(state_at(get()), access::shared, limit_in(time));
}
void shared_mutex::unlock_shared() const
{
    if (!give_any_back(state_at(get()), registry::here(), access::shared))
        throw usage_error{"this process is not a reader of the shared mutex that it unlocks"};
}

} // namespace coproc
