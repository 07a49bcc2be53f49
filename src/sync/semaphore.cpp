#include <coproc/bounded_semaphore.hpp>
#include <coproc/semaphore.hpp>

#include "sync/mutex_object.hpp"
#include "sync/semaphore_core.hpp"
#include "sync/waiting.hpp"

#include <coproc/error.hpp>

namespace coproc {

using namespace detail;

namespace {

semaphore_state& state_at(std::byte* place) { return *reinterpret_cast<semaphore_state*>(place); }

task<std::optional<semaphore_permit>> acquire_by(std::shared_ptr<object_place> place, sleep_limit until)
{
    if (had_its_turn()) {
        auto others = let_others_run();
        co_await std::move(others);
    }
    auto& s = state_at(place->at);
    auto& all = registry::here();
    auto taken = try_take_permit(s, all, 0);
    if (!taken) {
        semaphore_wait wait{s, all};
        auto turn = wait_for_turn(wait, until);
        if (!co_await std::move(turn))
            co_return std::nullopt;
        taken = wait.result();
    }
    co_return semaphore_permit{std::move(place), s, *taken};
}

task<semaphore_permit> acquire_from(std::shared_ptr<object_place> place)
{
    auto permit = acquire_by(std::move(place), sleep_limit::max());
    auto taken = co_await std::move(permit);
    co_return std::move(*taken);
}

bool lock_by(semaphore_state& s, sleep_limit until)
{
    auto& all = registry::here();
    if (try_take_permit(s, all, 0))
        return true;
    semaphore_wait wait{s, all};
    return block_for_turn(wait, until);
}

} // namespace

void detail::permit_hold::give_back(std::shared_ptr<object_place>& place) noexcept
{
    auto kept = std::move(place);
    if (auto* s = std::exchange(state, nullptr))
        if (auto& all = registry::here(); owner == all.self()) // not in a copy of its process
            give_permit_back(*s, all, owner, account);
}

semaphore_permit::semaphore_permit(std::shared_ptr<object_place> place, semaphore_state& s, std::uint32_t account) noexcept
    : guard{std::move(place), {&s, registry::here().self(), account}}
{
}

void semaphore_permit::consume() noexcept
{
    auto place = std::move(place_);
    auto* s = std::exchange(hold_.state, nullptr);
    if (s && hold_.owner == registry::here().self())
        s->permits.post(hold_.account, hold_.owner, posting::one_less, [](std::uint32_t&, const ledger::account&) { return true; });
}

basic_semaphore::basic_semaphore(object_kind kind) noexcept : shared_object{kind, sizeof(semaphore_state)} {}

void basic_semaphore::begin_with(std::uint32_t permits, std::uint32_t most)
{
    auto& s = state_at(get());
    s.most = most;
    s.permits.begin_with(permits);
}

task<semaphore_permit> basic_semaphore::acquire() const { return acquire_from(place()); }

std::optional<semaphore_permit> basic_semaphore::try_acquire() const
{
    auto& s = state_at(get());
    if (auto account = try_take_permit_now(s))
        return semaphore_permit{place(), s, *account};
    return std::nullopt;
}

task<std::optional<semaphore_permit>> basic_semaphore::try_acquire_for(std::chrono::nanoseconds time) const
{
    return acquire_by(place(), limit_in(time));
}

void basic_semaphore::lock() const { static_cast<void>(lock_by(state_at(get()), sleep_limit::max())); }
bool basic_semaphore::try_lock() const { return try_take_permit_now(state_at(get())).has_value(); }
bool basic_semaphore::try_lock_for(std::chrono::nanoseconds time) const { return lock_by(state_at(get()), limit_in(time)); }

void basic_semaphore::unlock() const
{
    if (!give_any_permit_back(state_at(get()), registry::here()))
        throw usage_error{"this process has no permit of the semaphore that it unlocks: release() adds one that nobody holds"};
}

std::uint32_t basic_semaphore::value() const { return state_at(get()).permits.value(); }
bool basic_semaphore::add(std::uint32_t count) const { return add_permits(state_at(get()), registry::here(), count); }

semaphore::semaphore() noexcept : basic_semaphore{object_kind::semaphore} {}

semaphore::semaphore(std::uint32_t permits) : semaphore{} { begin_with(permits, 0); }

void semaphore::release(std::uint32_t count) const
{
    if (!add(count))
        throw usage_error{"a semaphore has no more than 4294967295 permits"};
}

bounded_semaphore::bounded_semaphore() noexcept : basic_semaphore{object_kind::bounded_semaphore} {}

bounded_semaphore::bounded_semaphore(std::uint32_t permits) : bounded_semaphore{} { begin_with(permits, permits); }

void bounded_semaphore::release(std::uint32_t count) const
{
    if (!add(count))
        throw usage_error{"a bounded semaphore was released more often than it was acquired"};
}

} // namespace coproc
