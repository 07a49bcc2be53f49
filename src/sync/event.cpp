#include <coproc/event.hpp>

#include "sync/mutex_object.hpp"
#include "sync/waiting.hpp"

namespace coproc {

using namespace detail;

namespace {

struct event_state {
    object_header header;
    std::atomic<std::uint64_t> word; ///< times that it was set * 2 + whether it is
    gate waiting;
};

event_state& state_at(std::byte* place) { return *reinterpret_cast<event_state*>(place); }

class event_wait {
public:
    explicit event_wait(event_state& s) noexcept : state_{s}, begin_{s.word.load() / 2} {}

    [[nodiscard]] gate& place() const noexcept { return state_.waiting; }
    [[nodiscard]] static wakes how() noexcept { return wakes::all; }
    [[nodiscard]] bool try_now(member, unsigned) const noexcept
    {
        auto word = state_.word.load();
        return word % 2 != 0 || word / 2 != begin_;
    }
    static void pass_on(member) noexcept {}

private:
    event_state& state_;
    std::uint64_t begin_;
};

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
    auto& s = state_at(get());
    auto& all = registry::here(); // before anything changes: who isn't entered there dies unnoticed
    auto word = s.word.load();
    do
        if (word % 2 != 0)
            return;
    while (!s.word.compare_exchange_weak(word, word + 3));
    if (has_word(s.waiting))
        wake_all(s.waiting, all);
}

void event::clear() const { state_at(get()).word.fetch_and(~std::uint64_t{1}); }
bool event::is_set() const { return state_at(get()).word.load() % 2 != 0; }
task<> event::wait() const { return wait_at(place()); }
task<bool> event::wait_for(std::chrono::nanoseconds time) const { return wait_by(place(), limit_in(time)); }

} // namespace coproc
