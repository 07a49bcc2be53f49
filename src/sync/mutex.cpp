#include <coproc/mutex.hpp>

#include "sync/mutex_object.hpp"
#include "sync/waiting.hpp"

#include <coproc/error.hpp>

#include <system_error>

namespace coproc {

using namespace detail;

namespace {

mutex_object& object_at(std::byte* place) { return *reinterpret_cast<mutex_object*>(place); }

// Blocks the thread until the mutex is taken, or the time is up.
bool lock_by(mutex_object& object, sleep_limit until)
{
    auto& all = registry::here();
    if (try_take(object.mutex, all, false) == taken::no) {
        if (object.thread.load(std::memory_order_relaxed) == this_thread_number() && is_mine(object.mutex, all))
            throw std::system_error{std::make_error_code(std::errc::resource_deadlock_would_occur), "locking a mutex that this thread has"};
        mutex_wait wait{object.mutex, all};
        if (!block_for_turn(wait, until))
            return false;
    }
    object.thread.store(this_thread_number(), std::memory_order_relaxed);
    return true;
}

} // namespace

void detail::mutex_hold::give_back(std::shared_ptr<object_place>& place) noexcept
{
    auto kept = std::move(place);
    auto* mutex = std::exchange(state, nullptr);
    if (!mutex)
        return;
    try {
        if (auto& all = registry::here(); is_mine(*mutex, all)) // not in a copy of its process
            detail::give_back(*mutex, all);
    } catch (const std::system_error&) { // a copy that could not even enter the table
    }
}

mutex::mutex() noexcept : shared_object{object_kind::mutex, sizeof(mutex_object)} {}

mutex::mutex(std::shared_ptr<object_place> place) noexcept : mutex{} { adopt(std::move(place)); }

task<mutex_guard> mutex::acquire() const
{
    return acquire_mutex(place(), object_at(get()).mutex);
}

std::optional<mutex_guard> mutex::try_acquire() const
{
    auto& object = object_at(get());
    if (auto result = try_take_now(object.mutex); result != taken::no)
        return mutex_guard{place(), object.mutex, result == taken::from_dead};
    return std::nullopt;
}

task<std::optional<mutex_guard>> mutex::try_acquire_for(std::chrono::nanoseconds time) const
{
    return acquire_mutex_by(place(), object_at(get()).mutex, limit_in(time));
}

void mutex::lock() const { static_cast<void>(lock_by(object_at(get()), sleep_limit::max())); }
bool mutex::try_lock() const
{
    auto& object = object_at(get());
    if (try_take_now(object.mutex) == taken::no)
        return false;
    object.thread.store(this_thread_number(), std::memory_order_relaxed);
    return true;
}
bool mutex::try_lock_for(std::chrono::nanoseconds time) const { return lock_by(object_at(get()), limit_in(time)); }

void mutex::unlock() const
{
    auto& object = object_at(get());
    auto& all = registry::here();
    if (!is_mine(object.mutex, all))
        throw usage_error{"this process does not have the mutex that it unlocks"};
    object.thread.store(0, std::memory_order_relaxed);
    give_back(object.mutex, all);
}

bool mutex::locked() const { return is_taken(object_at(get()).mutex, registry::here()); }

} // namespace coproc
