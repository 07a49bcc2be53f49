#include <coproc/shared_value.hpp>

#include "sync/mutex_object.hpp"
#include "sync/waiting.hpp"

#include <utility>

namespace coproc::detail {
namespace {

struct value_sync {
    mutex_state mutex;
    gate changes;
};
static_assert(sizeof(value_sync) <= sizeof(value_head::sync) && alignof(value_sync) <= 64);

value_sync& sync_of(value_head& head) noexcept { return *reinterpret_cast<value_sync*>(head.sync); }

class change_wait {
public:
    change_wait(value_head& head, change& what) noexcept : head_{head}, what_{what} {}

    [[nodiscard]] gate& place() const noexcept { return sync_of(head_).changes; }
    [[nodiscard]] static wakes how() noexcept { return wakes::all; }
    bool try_now(member, unsigned)
    {
        head_.watched.store(1);
        return what_.changed();
    }
    void pass_on(member) noexcept {}

private:
    value_head& head_;
    change& what_;
};

} // namespace

task<mutex_guard> acquire_value(std::shared_ptr<object_place> place, value_head& head)
{
    return acquire_mutex(std::move(place), sync_of(head).mutex);
}

mutex_guard lock_value(std::shared_ptr<object_place> place, value_head& head)
{
    auto& mutex = sync_of(head).mutex;
    auto& all = registry::here();
    if (try_take(mutex, all, false) == taken::no) {
        mutex_wait wait{mutex, all};
        block_for_turn(wait, sleep_limit::max());
    }
    return mutex_guard{std::move(place), mutex, false};
}

void value_has_changed(value_head& head) noexcept
{
    // Whoever still waits says so again when it has looked.
    auto& all = registry::here();
    if (head.watched.exchange(0) != 0)
        wake_all(sync_of(head).changes, all);
}

task<> wait_for_change(std::shared_ptr<object_place> place, value_head& head, change& what)
{
    static_cast<void>(place); // held while this waits
    if (had_its_turn()) {
        auto others = let_others_run();
        co_await std::move(others);
    }
    if (what.changed())
        co_return;
    change_wait wait{head, what};
    auto turn = wait_for_turn(wait, sleep_limit::max());
    co_await std::move(turn);
}

} // namespace coproc::detail
