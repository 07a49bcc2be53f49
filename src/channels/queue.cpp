#include <coproc/detail/queue_handle.hpp>

#include "channels/queue_core.hpp"
#include "sync/mutex_object.hpp"
#include "sync/waiting.hpp"

#include <coproc/error.hpp>

#include <utility>

namespace coproc::detail {
namespace {

using result = queue_core::result;

// Has the mutex of one side.
class with_mutex {
public:
    with_mutex(mutex_state& mutex, const registry& all) noexcept : mutex_{mutex}, all_{all} {}
    ~with_mutex() { give_back(mutex_, all_); }
    with_mutex(const with_mutex&) = delete;
    with_mutex& operator=(const with_mutex&) = delete;

private:
    mutex_state& mutex_;
    const registry& all_;
};

bool try_enter(mutex_state& mutex, const registry& all) noexcept
{
    constexpr int patience = 100; // it is held for as long as an item is copied
    for (int i = 0; i < patience; ++i)
        if (try_take(mutex, all, false) != taken::no)
            return true;
    return false;
}

// False: the time was up.
task<bool> enter(mutex_state& mutex, const registry& all, sleep_limit until)
{
    mutex_wait wait{mutex, all};
    auto turn = wait_for_turn(wait, until);
    co_return co_await std::move(turn);
}

// A thread that may not wait long does so here: until whoever copies an item has done so.
void enter_blocking(mutex_state& mutex, const registry& all)
{
    if (try_enter(mutex, all))
        return;
    mutex_wait wait{mutex, all};
    block_for_turn(wait, sleep_limit::max());
}

// Those who were woken take one each; if there is more, or there will be no more, the next one is woken. Whether anybody
// waits is looked at first, as that costs nothing.
void tell_getters(queue_core& queue, const registry& all) noexcept
{
    if (has_word(queue.control().getters) && (queue.size() > 0 || queue.is_closed()))
        wake_one(queue.control().getters, all);
}
void tell_putters(queue_core& queue, const registry& all) noexcept
{
    auto has_room = [&] { return !queue.is_bounded() || queue.size() < queue.control().capacity || queue.is_closed(); };
    if (queue.may_be_full() && has_word(queue.control().putters) && has_room())
        wake_one(queue.control().putters, all);
}

// In line for items or for room; what is there is looked at with the mutex.
class queue_wait {
public:
    queue_wait(gate& at, const registry& all) noexcept : at_{at}, all_{all} {}
    [[nodiscard]] gate& place() const noexcept { return at_; }
    [[nodiscard]] static wakes how() noexcept { return wakes::one; }
    [[nodiscard]] static bool try_now(member, unsigned) noexcept { return false; }
    void pass_on(member) noexcept { wake_one(at_, all_); }

private:
    gate& at_;
    const registry& all_;
};

// Until `attempt` has done what it can, with the mutex, or the time is up (not_now).
template <class Attempt>
task<result> wait_in_line(mutex_state& mutex, gate& at, Attempt attempt, sleep_limit until)
{
    auto& all = registry::here();
    auto executor = co_await asio::this_coro::executor;
    auto& here = loop_party::of(executor);
    queue_wait wait{at, all};
    for (;;) {
        auto s = loop_party::make_sleeper(executor);
        turn_in_line<queue_wait> turn{here, s, wait};
        if (!try_enter(mutex, all)) {
            auto entered = enter(mutex, all, until);
            if (!co_await std::move(entered))
                co_return result::not_now;
        }
        result what;
        {
            with_mutex held{mutex, all};
            what = attempt();
        }
        if (what != result::not_now) {
            turn.comes_back();
            co_return what;
        }
        auto sleep = loop_party::sleep(s, until);
        if (!co_await std::move(sleep))
            co_return result::not_now;
        turn.comes_back();
    }
}

bool was_put(queue_core& queue, result what, const registry& all)
{
    if (what == result::closed)
        throw usage_error{"the queue is closed: nothing can be put into it"};
    if (what == result::done)
        tell_getters(queue, all);
    return what == result::done;
}

got_item was_got(queue_core& queue, result what, const registry& all)
{
    if (what == result::done)
        tell_putters(queue, all);
    if (queue.is_joinable() && has_word(queue.control().joiners) && queue.is_done()) // what nobody can have counts as done
        wake_all(queue.control().joiners, all);
    return what == result::done ? got_item::item : what == result::closed ? got_item::end : got_item::nothing;
}

result put_with_mutex(queue_core& queue, const buffer& item, const registry& all)
{
    with_mutex held{queue.control().put.mutex, all};
    return queue.put({item.data(), item.size()}, item.attachments());
}

result get_with_mutex(queue_core& queue, buffer& item, const registry& all)
{
    with_mutex held{queue.control().get.mutex, all};
    return queue.get(item, all.self());
}

task<bool> put_in_line(queue_core& queue, const buffer& item, queue_limit until)
{
    auto& all = registry::here();
    auto& side = queue.control();
    std::span<const std::byte> bytes{item.data(), item.size()};
    auto line = wait_in_line(side.put.mutex, side.putters, [&] { return queue.put(bytes, item.attachments()); }, until);
    auto what = co_await std::move(line);
    tell_putters(queue, all);
    co_return was_put(queue, what, all);
}

} // namespace

queue_limit queue_limit_in(std::chrono::nanoseconds time) noexcept { return limit_in(time); }

task<> put_item(std::shared_ptr<queue_core> queue, item_buffer item)
{
    if (had_its_turn()) {
        auto others = let_others_run();
        co_await std::move(others);
    }
    auto& all = registry::here();
    if (try_enter(queue->control().put.mutex, all) && was_put(*queue, put_with_mutex(*queue, item.get(), all), all))
        co_return;
    auto wait = put_in_line(*queue, item.get(), no_limit);
    static_cast<void>(co_await std::move(wait));
}

task<bool> put_item_by(std::shared_ptr<queue_core> queue, item_buffer item, queue_limit until)
{
    if (had_its_turn()) {
        auto others = let_others_run();
        co_await std::move(others);
    }
    auto& all = registry::here();
    if (try_enter(queue->control().put.mutex, all) && was_put(*queue, put_with_mutex(*queue, item.get(), all), all))
        co_return true;
    auto wait = put_in_line(*queue, item.get(), until);
    co_return co_await std::move(wait);
}

bool put_item_now(queue_core& queue, item_buffer item)
{
    auto& all = registry::here();
    enter_blocking(queue.control().put.mutex, all);
    return was_put(queue, put_with_mutex(queue, item.get(), all), all);
}

std::optional<got_item> get_item_at_once(queue_core& queue, buffer& item)
{
    auto& all = registry::here();
    if (!try_enter(queue.control().get.mutex, all))
        return std::nullopt;
    auto what = get_with_mutex(queue, item, all);
    if (what == result::not_now)
        return std::nullopt;
    return was_got(queue, what, all);
}

task<got_item> get_item(std::shared_ptr<queue_core> queue, buffer& item, queue_limit until)
{
    auto& all = registry::here();
    auto& side = queue->control();
    auto line = wait_in_line(side.get.mutex, side.getters, [&] { return queue->get(item, all.self()); }, until);
    auto what = co_await std::move(line);
    tell_getters(*queue, all);
    co_return was_got(*queue, what, all);
}

got_item get_item_now(queue_core& queue, buffer& item)
{
    auto& all = registry::here();
    enter_blocking(queue.control().get.mutex, all);
    return was_got(queue, get_with_mutex(queue, item, all), all);
}

task<> wait_for_item(std::shared_ptr<queue_core> queue)
{
    auto& all = registry::here();
    auto& side = queue->control();
    auto look = [&] { return queue->is_closed() || queue->size() > 0 ? result::done : result::not_now; };
    auto line = wait_in_line(side.get.mutex, side.getters, look, no_limit);
    co_await std::move(line);
    tell_getters(*queue, all); // this one may have been woken in place of one that takes it
}

void close_queue(queue_core& queue)
{
    auto& all = registry::here();
    enter_blocking(queue.control().put.mutex, all);
    {
        with_mutex held{queue.control().put.mutex, all};
        queue.close();
    }
    wake_all(queue.control().getters, all);
    wake_all(queue.control().putters, all);
}

bool queue_is_closed(const queue_core& queue) { return queue.is_closed(); }
std::size_t queue_size(const queue_core& queue) { return queue.size(); }
std::size_t queue_capacity(const queue_core& queue) { return queue.control().capacity; }

void mark_item_done(queue_core& queue)
{
    auto& all = registry::here();
    enter_blocking(queue.control().get.mutex, all);
    bool last = false;
    {
        with_mutex held{queue.control().get.mutex, all};
        last = queue.mark_done(all.self());
    }
    if (last)
        wake_all(queue.control().joiners, all);
}

task<> join_queue(std::shared_ptr<queue_core> queue)
{
    auto& all = registry::here();
    auto& side = queue->control();
    auto line = wait_in_line(side.get.mutex, side.joiners, [&] { return queue->count_dead(all) ? result::done : result::not_now; }, no_limit);
    co_await std::move(line);
    wake_all(side.joiners, all); // the dead ones' items are counted by one of those who wait
}

} // namespace coproc::detail
