#include <coproc/condition.hpp>

#include "sync/condition_core.hpp"
#include "sync/mutex_object.hpp"
#include "sync/waiting.hpp"

#include <coproc/error.hpp>

#include <limits>

namespace coproc {

using namespace detail;

namespace {

condition_state& state_at(std::byte* place) { return *reinterpret_cast<condition_state*>(place); }

task<bool> wait_by(std::shared_ptr<object_place> place, mutex_guard& held, sleep_limit until)
{
    if (!held)
        throw usage_error{"who waits for a condition must have a lock: acquire it first"};
    auto& mutex = *held.state();
    auto place_of_mutex = held.place();
    condition_wait wait{state_at(place->at), registry::here(), held};
    auto turn = wait_for_turn(wait, until);
    static_cast<void>(co_await std::move(turn));
    auto lock = acquire_mutex(std::move(place_of_mutex), mutex);
    held = co_await std::move(lock);
    co_return wait.claim();
}

task<> wait_at(std::shared_ptr<object_place> place, mutex_guard& held)
{
    auto wait = wait_by(std::move(place), held, sleep_limit::max());
    static_cast<void>(co_await std::move(wait));
}

} // namespace

condition::condition() noexcept : shared_object{object_kind::condition, sizeof(condition_state)} {}

task<mutex_guard> condition::acquire() const { return acquire_mutex(place(), state_at(get()).mutex); }

std::optional<mutex_guard> condition::try_acquire() const
{
    auto& mutex = state_at(get()).mutex;
    if (auto result = try_take_now(mutex); result != taken::no)
        return mutex_guard{place(), mutex, result == taken::from_dead};
    return std::nullopt;
}

task<std::optional<mutex_guard>> condition::try_acquire_for(std::chrono::nanoseconds time) const
{
    return acquire_mutex_by(place(), state_at(get()).mutex, limit_in(time));
}

task<> condition::wait(mutex_guard& held) const { return wait_at(place(), held); }
task<bool> condition::wait_for(mutex_guard& held, std::chrono::nanoseconds time) const { return wait_by(place(), held, limit_in(time)); }

std::uint32_t condition::notify(std::uint32_t count) const { return detail::notify(state_at(get()), registry::here(), count); }
std::uint32_t condition::notify_all() const { return notify(std::numeric_limits<std::uint32_t>::max()); }

} // namespace coproc
