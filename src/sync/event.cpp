#include <coproc/event.hpp>

#include "sync/event_core.hpp"
#include "sync/mutex_object.hpp"
#include "sync/waiting.hpp"

namespace coproc {

using namespace detail;

namespace {

event_state& state_at(std::byte* place) { return *reinterpret_cast<event_state*>(place); }

task<bool> wait_by(std::shared_ptr<object_place> place, sleep_limit until)
{
    auto& state = state_at(place->at);
    return wait_until_met(std::move(place), event_wait{state}, until);
}

task<> wait_at(std::shared_ptr<object_place> place)
{
    auto& state = state_at(place->at);
    return wait_until_met(std::move(place), event_wait{state});
}

} // namespace

event::event() noexcept : shared_object{object_kind::event, sizeof(event_state)} {}

void event::set() const
{
    auto& all = registry::here(); // before anything changes: who isn't entered there dies unnoticed
    detail::set(state_at(get()), all);
}

void event::clear() const { detail::clear(state_at(get())); }
bool event::is_set() const { return state_at(get()).word.load() % 2 != 0; }
task<> event::wait() const { return wait_at(place()); }
task<bool> event::wait_for(std::chrono::nanoseconds time) const { return wait_by(place(), limit_in(time)); }

} // namespace coproc
