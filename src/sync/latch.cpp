#include <coproc/latch.hpp>

#include "sync/latch_core.hpp"
#include "sync/mutex_object.hpp"
#include "sync/waiting.hpp"

#include <coproc/error.hpp>

namespace coproc {

using namespace detail;

namespace {

latch_state& state_at(std::byte* place) { return *reinterpret_cast<latch_state*>(place); }

task<bool> wait_by(std::shared_ptr<object_place> place, sleep_limit until)
{
    auto& state = state_at(place->at);
    return wait_until_met(std::move(place), latch_wait{state}, until);
}

task<> wait_at(std::shared_ptr<object_place> place)
{
    auto& state = state_at(place->at);
    return wait_until_met(std::move(place), latch_wait{state});
}

} // namespace

latch::latch() noexcept : shared_object{object_kind::latch, sizeof(latch_state)} {}

latch::latch(std::uint32_t count) : latch{} { state_at(get()).count = count; }

void latch::count_down(std::uint32_t by) const
{
    auto& all = registry::here(); // before anything changes: who isn't entered there dies unnoticed
    if (!detail::count_down(state_at(get()), all, by))
        throw usage_error{"a latch was counted down below zero"};
}

bool latch::try_wait() const { return value() == 0; }
std::uint32_t latch::value() const { return state_at(get()).count.load(); }
task<> latch::wait() const { return wait_at(place()); }
task<bool> latch::wait_for(std::chrono::nanoseconds time) const { return wait_by(place(), limit_in(time)); }

task<> latch::arrive_and_wait(std::uint32_t by) const
{
    count_down(by);
    return wait();
}

} // namespace coproc
