#include <coproc/detail/queue_handle.hpp>

#include "channels/queue_core.hpp"
#include "sync/mutex_object.hpp"
#include "sync/waiting.hpp"

#include <coproc/error.hpp>

#include <algorithm>
#include <utility>

namespace coproc::detail {
namespace {

using result = queue_core::result;

// Has the queue's mutex.
class with_mutex {
public:
    with_mutex(queue_core& queue, const registry& all) noexcept : mutex_{queue.control().mutex}, all_{all} {}
    ~with_mutex() { give_back(mutex_, all_); }
    with_mutex(const with_mutex&) = delete;
    with_mutex& operator=(const with_mutex&) = delete;

private:
    mutex_state& mutex_;
    const registry& all_;
};

bool try_enter(queue_core& queue, const registry& all) noexcept
{
    constexpr int patience = 100; // it is held for as long as an item is copied
    for (int i = 0; i < patience; ++i)
        if (try_take(queue.control().mutex, all, false) != taken::no)
            return true;
    return false;
}

// False: the time was up.
task<bool> enter(queue_core& queue, const registry& all, sleep_limit until)
{
    mutex_wait wait{queue.control().mutex, all};
    auto turn = wait_for_turn(wait, until);
    co_return co_await std::move(turn);
}

// A thread that may not wait long does so here: until whoever copies an item has done so.
void enter_blocking(queue_core& queue, const registry& all)
{
    if (try_enter(queue, all))
        return;
    mutex_wait wait{queue.control().mutex, all};
    block_for_turn(wait, sleep_limit::max());
}

// Those who were woken take one each; if there is more, the next one is woken.
void tell_getters(queue_core& queue, const registry& all) noexcept
{
    if (queue.size() > 0)
        wake_one(queue.control().getters, all);
}
void tell_putters(queue_core& queue, const registry& all) noexcept
{
    if (queue.control().capacity != 0 ? queue.size() < queue.control().capacity : queue.putting().descriptor >= 0)
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

// Until `attempt` has done what it can, or the time is up (not_now).
template <class Attempt>
task<result> wait_in_line(queue_core& queue, gate& at, Attempt attempt, sleep_limit until)
{
    auto& all = registry::here();
    auto executor = co_await asio::this_coro::executor;
    auto& here = loop_party::of(executor);
    queue_wait wait{at, all};
    for (;;) {
        auto s = loop_party::make_sleeper(executor);
        turn_in_line<queue_wait> turn{here, s, wait};
        if (!try_enter(queue, all)) {
            auto entered = enter(queue, all, until);
            if (!co_await std::move(entered))
                co_return result::not_now;
        }
        result what;
        {
            with_mutex held{queue, all};
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

void check(result what)
{
    if (what == result::closed)
        throw usage_error{"the queue is closed: nothing can be put into it"};
}

got_item as_got(result what) { return what == result::done ? got_item::item : what == result::closed ? got_item::end : got_item::nothing; }

} // namespace

queue_limit queue_limit_in(std::chrono::nanoseconds time) noexcept { return limit_in(time); }

task<bool> put_item(std::shared_ptr<queue_core> queue, item_buffer buffer, queue_limit until)
{
    auto& item = buffer.get();
    auto& all = registry::here();
    std::span<const std::byte> bytes{item.data(), item.size()};
    auto what = result::not_now;
    if (try_enter(*queue, all)) {
        with_mutex held{*queue, all};
        what = queue->put(bytes, item.attachments());
    }
    if (what == result::not_now) {
        auto line = wait_in_line(*queue, queue->control().putters, [&] { return queue->put(bytes, item.attachments()); }, until);
        what = co_await std::move(line);
        tell_putters(*queue, all);
    }
    check(what);
    if (what == result::done)
        tell_getters(*queue, all);
    co_return what == result::done;
}

bool put_item_now(queue_core& queue, item_buffer buffer)
{
    auto& item = buffer.get();
    auto& all = registry::here();
    enter_blocking(queue, all);
    result what;
    {
        with_mutex held{queue, all};
        what = queue.put({item.data(), item.size()}, item.attachments());
    }
    check(what);
    if (what == result::done)
        tell_getters(queue, all);
    return what == result::done;
}

std::optional<got_item> get_item_at_once(queue_core& queue, buffer& item)
{
    auto& all = registry::here();
    if (!try_enter(queue, all))
        return std::nullopt;
    result what;
    {
        with_mutex held{queue, all};
        what = queue.get(item, all.self());
    }
    if (what == result::not_now)
        return std::nullopt;
    tell_putters(queue, all);
    return as_got(what);
}

task<got_item> get_item(std::shared_ptr<queue_core> queue, buffer& item, queue_limit until)
{
    auto& all = registry::here();
    auto line = wait_in_line(*queue, queue->control().getters, [&] { return queue->get(item, all.self()); }, until);
    auto what = co_await std::move(line);
    tell_getters(*queue, all);
    if (what == result::done)
        tell_putters(*queue, all);
    co_return as_got(what);
}

got_item get_item_now(queue_core& queue, buffer& item)
{
    auto& all = registry::here();
    enter_blocking(queue, all);
    result what;
    {
        with_mutex held{queue, all};
        what = queue.get(item, all.self());
    }
    if (what == result::done)
        tell_putters(queue, all);
    return as_got(what);
}

task<> wait_for_item(std::shared_ptr<queue_core> queue)
{
    auto& all = registry::here();
    auto look = [&] { return queue->now().puts != queue->now().gets || queue->is_closed() ? result::done : result::not_now; };
    auto line = wait_in_line(*queue, queue->control().getters, look, no_limit);
    co_await std::move(line);
    tell_getters(*queue, all); // this one may have been woken in place of one that takes it
}

void close_queue(queue_core& queue)
{
    auto& all = registry::here();
    enter_blocking(queue, all);
    {
        with_mutex held{queue, all};
        queue.control().closed.store(1);
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
    enter_blocking(queue, all);
    bool last = false;
    {
        with_mutex held{queue, all};
        last = queue.mark_done(all.self());
    }
    if (last)
        wake_all(queue.control().joiners, all);
}

task<> join_queue(std::shared_ptr<queue_core> queue)
{
    auto& all = registry::here();
    auto line = wait_in_line(*queue, queue->control().joiners, [&] { return queue->count_dead(all) ? result::done : result::not_now; }, no_limit);
    co_await std::move(line);
    wake_all(queue->control().joiners, all); // the dead ones' items are counted by one of those who wait
}

namespace {

// Fresh memory for each item would cost more than the copy; but a thread doesn't keep much of it.
constexpr std::size_t most_kept = 4 << 20;

buffer& kept()
{
    static thread_local buffer one;
    return one;
}

} // namespace

item_buffer::item_buffer() noexcept { bytes_.swap(kept()); }

item_buffer::~item_buffer()
{
    if (bytes_.capacity() == 0 || bytes_.capacity() > most_kept)
        return;
    bytes_.clear();
    bytes_.swap(kept());
}

queue_handle::queue_handle(const queue_handle& other) : kind_{other.kind_}, capacity_{other.capacity_}, core_{other.core()} {}
queue_handle::queue_handle(queue_handle&& other) noexcept : kind_{other.kind_}, capacity_{other.capacity_}
{
    std::scoped_lock lock{other.mutex_};
    core_ = std::move(other.core_);
}

queue_handle& queue_handle::operator=(const queue_handle& other)
{
    auto core = other.core();
    std::scoped_lock lock{mutex_};
    core_ = std::move(core);
    return *this;
}

queue_handle& queue_handle::operator=(queue_handle&& other) noexcept
{
    if (this != &other) {
        std::scoped_lock lock{mutex_, other.mutex_};
        core_ = std::move(other.core_);
        capacity_ = other.capacity_;
    }
    return *this;
}

queue_handle::~queue_handle() = default;

std::shared_ptr<queue_core> queue_handle::core() const
{
    std::scoped_lock lock{mutex_};
    if (!core_) {
        registry::here(); // whoever can change it is known, so that its death is noticed
        core_ = std::make_shared<queue_core>(kind_.type, capacity_, kind_.joinable, kind_.carries_descriptors);
    }
    if (!core_->is_ours())
        throw usage_error{"a queue that was inherited by fork can't be used: let the parent send it as an argument"};
    return core_;
}

void queue_handle::send(output_archive& archive) const
{
    auto queue = core();
    archive.attach(queue->file());
    if (kind_.carries_descriptors) {
        archive.attach(queue->putting());
        archive.attach(queue->getting());
    }
}

void queue_handle::receive(input_archive& archive)
{
    registry::here(); // see core
    auto file = archive.take_attachment();
    attachment putting, getting;
    if (kind_.carries_descriptors) {
        putting = archive.take_attachment();
        getting = archive.take_attachment();
    }
    auto core = std::make_shared<queue_core>(kind_.type, kind_.joinable, std::move(file), std::move(putting), std::move(getting));
    std::scoped_lock lock{mutex_};
    core_ = std::move(core);
}

} // namespace coproc::detail
