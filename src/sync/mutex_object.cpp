#include "sync/mutex_object.hpp"

#include "os/stamp.hpp"
#include "sync/waiting.hpp"

#include <unistd.h>
#include <utility>

namespace coproc::detail {

task<std::optional<mutex_guard>> acquire_mutex_by(std::shared_ptr<object_place> place, mutex_state& mutex, sleep_limit until)
{
    if (had_its_turn()) {
        auto others = let_others_run();
        co_await std::move(others);
    }
    auto& all = registry::here();
    auto result = try_take(mutex, all, false);
    if (result == taken::no) {
        mutex_wait wait{mutex, all};
        auto turn = wait_for_turn(wait, until);
        if (!co_await std::move(turn))
            co_return std::nullopt;
        result = wait.result();
    }
    co_return mutex_guard{std::move(place), mutex, result == taken::from_dead};
}

task<mutex_guard> acquire_mutex(std::shared_ptr<object_place> place, mutex_state& mutex)
{
    if (had_its_turn()) {
        auto others = let_others_run();
        co_await std::move(others);
    }
    auto& all = registry::here();
    auto result = try_take(mutex, all, false);
    if (result == taken::no) {
        mutex_wait wait{mutex, all};
        auto turn = wait_for_turn(wait, sleep_limit::max());
        co_await std::move(turn);
        result = wait.result();
    }
    co_return mutex_guard{std::move(place), mutex, result == taken::from_dead};
}

taken try_take_now(mutex_state& mutex)
{
    auto& all = registry::here();
    auto result = try_take(mutex, all, false);
    if (result == taken::no) {
        all.check(owner_of(mutex));
        result = try_take(mutex, all, false);
    }
    return result;
}

sleep_limit limit_in(std::chrono::nanoseconds time) noexcept
{
    auto now = std::chrono::steady_clock::now();
    if (time <= time.zero())
        return now;
    return time < sleep_limit::max() - now ? now + time : sleep_limit::max();
}

std::int32_t this_thread_number() noexcept
{
    thread_local std::uint64_t stamp = 0;
    thread_local std::int32_t number = 0;
    if (stamp != os::process_stamp()) {
        number = ::gettid();
        stamp = os::process_stamp();
    }
    return number;
}

} // namespace coproc::detail
