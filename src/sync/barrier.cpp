#include <coproc/barrier.hpp>

#include "sync/barrier_core.hpp"
#include "sync/mutex_object.hpp"
#include "sync/waiting.hpp"

namespace coproc {
namespace detail {
namespace {

barrier_state& state_at(std::byte* place) { return *reinterpret_cast<barrier_state*>(place); }

[[noreturn]] void throw_broken() { throw broken_barrier{"a barrier is broken: not all of its parties will arrive"}; }

} // namespace

task<bool> arrive_at(std::shared_ptr<object_place> place, barrier_action* action, sleep_limit until)
{
    if (had_its_turn()) {
        auto others = let_others_run();
        co_await std::move(others);
    }
    auto& b = state_at(place->at);
    auto& all = registry::here();
    for (;;) {
        barrier_round round;
        auto how = arrive(b, all, round);
        if (how == arrival::broken)
            throw_broken();
        barrier_wait wait{b, all, round, how != arrival::full};
        if (how == arrival::last) {
            if (action)
                action->run();
            if (!end_round(b, all, round))
                throw_broken();
            co_return true;
        }
        auto turn = wait_for_turn(wait, until);
        bool ended = co_await std::move(turn);
        auto result = ended ? wait.result() : look(b, all, round);
        if (result != round_end::passed)
            throw_broken();
        if (how == arrival::early)
            co_return false;
    }
}

} // namespace detail

using namespace detail;

barrier::barrier() noexcept : shared_object{object_kind::barrier, sizeof(barrier_state)} {}

barrier::barrier(std::uint32_t parties) : barrier{}
{
    if (parties == 0 || parties >= 1u << 24)
        throw usage_error{"a barrier is for 1 to 16777215 parties"};
    state_at(get()).parties = parties;
}

barrier::time_point barrier::limit(std::chrono::nanoseconds time) { return limit_in(time); }

void barrier::abort() const { break_now(state_at(get()), registry::here()); }
bool barrier::broken() const { return is_broken(state_at(get()), registry::here()); }
void barrier::reset() const { detail::reset(state_at(get()), registry::here()); }
std::uint32_t barrier::parties() const { return parties_of(state_at(get())); }
std::uint32_t barrier::waiting() const { return arrived(state_at(get())); }

} // namespace coproc
