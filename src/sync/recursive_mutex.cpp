#include <coproc/recursive_mutex.hpp>

#include "sync/mutex_object.hpp"
#include "sync/waiting.hpp"

#include <coproc/error.hpp>

#include <asio/use_awaitable.hpp>

#include <cstdint>

namespace coproc {

namespace detail {

struct recursive_mutex_object {
    object_header header;
    std::atomic<std::uint64_t> owner; ///< within the process that has the mutex; nobody else asks
    std::atomic<std::uint32_t> depth;
    mutex_state mutex;
};

namespace {

recursive_mutex_object& object_at(std::byte* place) { return *reinterpret_cast<recursive_mutex_object*>(place); }

// Unlike those of other processes, which a dead one may have left in the object: addresses have 47 bits.
std::uint64_t here(std::uint64_t who) noexcept { return who ^ std::uint64_t{registry::here().self()} << 47; }

std::uint64_t this_thread() noexcept { return here(static_cast<std::uint64_t>(this_thread_number()) * 2 + 1); }

bool has_it(const recursive_mutex_object& object, std::uint64_t who) noexcept
{
    return object.owner.load() == who && is_mine(object.mutex, registry::here());
}

void begin(recursive_mutex_object& object, std::uint64_t who) noexcept
{
    object.depth.store(1);
    object.owner.store(who);
}

void give_back_once(recursive_mutex_object& object) noexcept
{
    if (object.depth.fetch_sub(1) > 1)
        return;
    object.owner.store(0);
    give_back(object.mutex, registry::here());
}

using guard = recursive_mutex_guard;

task<std::optional<guard>> acquire_by(std::shared_ptr<object_place> place, std::optional<sleep_limit> until)
{
    if (until && had_its_turn()) {
        auto others = let_others_run();
        co_await std::move(others);
    }
    auto& object = object_at(place->at);
    // In the frame at the bottom of this coroutine's stack of calls, which stays whatever it awaits.
    const bool& in_the_first_frame = co_await asio::detail::awaitable_thread_has_context_switched{};
    auto me = here(reinterpret_cast<std::uintptr_t>(&in_the_first_frame));
    if (has_it(object, me)) {
        object.depth.fetch_add(1);
        co_return guard{std::move(place), object, false};
    }
    auto& all = registry::here();
    auto result = until ? try_take(object.mutex, all, false) : try_take_now(object.mutex);
    if (result == taken::no) {
        if (!until)
            co_return std::nullopt;
        mutex_wait wait{object.mutex, all};
        auto turn = wait_for_turn(wait, *until);
        if (!co_await std::move(turn))
            co_return std::nullopt;
        result = wait.result();
    }
    begin(object, me);
    co_return guard{std::move(place), object, result == taken::from_dead};
}

task<guard> acquire_from(std::shared_ptr<object_place> place)
{
    auto acquired = acquire_by(std::move(place), sleep_limit::max());
    auto held = co_await std::move(acquired);
    co_return std::move(*held);
}

bool lock_by(recursive_mutex_object& object, std::optional<sleep_limit> until)
{
    auto me = this_thread();
    if (has_it(object, me)) {
        object.depth.fetch_add(1);
        return true;
    }
    auto& all = registry::here();
    if ((until ? try_take(object.mutex, all, false) : try_take_now(object.mutex)) == taken::no) {
        if (!until)
            return false;
        mutex_wait wait{object.mutex, all};
        if (!block_for_turn(wait, *until))
            return false;
    }
    begin(object, me);
    return true;
}

} // namespace
} // namespace detail

using namespace detail;

void detail::recursive_mutex_hold::give_back(std::shared_ptr<object_place>& place) noexcept
{
    auto kept = std::move(place);
    if (auto* object = std::exchange(state, nullptr))
        if (is_mine(object->mutex, registry::here())) // not in a copy of its process
            give_back_once(*object);
}

recursive_mutex::recursive_mutex() noexcept : shared_object{object_kind::recursive_mutex, sizeof(recursive_mutex_object)} {}

task<recursive_mutex_guard> recursive_mutex::acquire() const { return acquire_from(place()); }
task<std::optional<recursive_mutex_guard>> recursive_mutex::try_acquire() const { return acquire_by(place(), std::nullopt); }
task<std::optional<recursive_mutex_guard>> recursive_mutex::try_acquire_for(std::chrono::nanoseconds time) const
{
    return acquire_by(place(), limit_in(time));
}

void recursive_mutex::lock() const { static_cast<void>(lock_by(object_at(get()), sleep_limit::max())); }
bool recursive_mutex::try_lock() const { return lock_by(object_at(get()), std::nullopt); }
bool recursive_mutex::try_lock_for(std::chrono::nanoseconds time) const { return lock_by(object_at(get()), limit_in(time)); }

void recursive_mutex::unlock() const
{
    auto& object = object_at(get());
    if (!has_it(object, this_thread()))
        throw usage_error{"this thread does not have the recursive mutex that it unlocks"};
    give_back_once(object);
}

bool recursive_mutex::locked() const { return is_taken(object_at(get()).mutex, registry::here()); }

} // namespace coproc
