#include "sync/parties.hpp"
#include "sync/place_for_one.hpp"

#include "sync/arena.hpp"
#include "sync/condition_core.hpp"

#include <coproc/condition.hpp>

#include <csignal>
#include <vector>

using namespace coproc;
using namespace sync_test;

namespace {

task<> wait_and_count(condition c, shared_value<int> woken)
{
    auto held = co_await c.acquire();
    co_await c.wait(held);
    if (held)
        woken.fetch_add(1);
}

task<> waiters(condition c, int count, shared_value<int> asleep, shared_value<int> woken)
{
    std::vector<running> all;
    for (int i = 0; i < count; ++i)
        all.push_back(co_await spawn(wait_and_count(c, woken)));
    asleep.fetch_add(count);
    for (auto& one : all)
        co_await one.join();
}

struct buffer {
    mutex lock;
    condition not_full, not_empty;
    shared_value<int> items, taken;

    template <class Archive>
    void serialize(Archive& archive)
    {
        archive(lock, not_full, not_empty, items, taken);
    }
};

task<> empty_buffer(buffer b, int count)
{
    for (int i = 0; i < count; ++i) {
        auto held = co_await b.lock.acquire();
        co_await b.not_empty.wait(held, [&] { return b.items.load() > 0; });
        b.items.fetch_sub(1);
        b.taken.fetch_add(1);
        held.release();
        b.not_full.notify_one();
    }
}

task<> hold(condition c, shared_value<int> holding)
{
    auto held = co_await c.acquire();
    holding.store(1);
    co_await wait_for_the_end();
}

task<> give_the_lock_back(condition c, std::vector<running>& all)
{
    for (auto& one : all)
        co_await one.join();
    auto held = co_await c.try_acquire_for(10s);
    CHECK(held);
}

} // namespace

TEST_CASE("a notification wakes exactly one of those that wait, in whatever process", "[CND-001]")
{
    in_loop([]() -> task<> {
        condition c;
        shared_value<int> asleep, woken;
        auto p = co_await process::start(waiters, c, 1, asleep, woken);
        co_await reaches(asleep, 1);
        auto here = co_await spawn(wait_and_count(c, woken));
        CHECK(c.notify_one() == 1);
        co_await reaches(woken, 1);
        co_await let_others_run();
        CHECK(woken.load() == 1);
        CHECK(c.notify_one() == 1);
        co_await here.join();
        const auto end = co_await p.join();
        CHECK(end.ok());
        CHECK(woken.load() == 2);
    });
}

TEST_CASE("as many wake as are notified or wait, and a notification that nobody waits for is not stored", "[CND-002]")
{
    in_loop([]() -> task<> {
        condition c;
        shared_value<int> asleep, woken;
        CHECK(c.notify(3) == 0);
        auto p = co_await process::start(waiters, c, 3, asleep, woken);
        co_await reaches(asleep, 3);
        std::vector<running> here;
        for (int i = 0; i < 3; ++i)
            here.push_back(co_await spawn(wait_and_count(c, woken)));
        CHECK(woken.load() == 0);
        CHECK(c.notify(2) == 2);
        co_await reaches(woken, 2);
        CHECK(c.notify(3) == 3);
        co_await reaches(woken, 5);
        CHECK(c.notify(5) == 1);
        co_await reaches(woken, 6);
        CHECK(c.notify_all() == 0);
        co_await give_the_lock_back(c, here);
        co_await p.join();
        CHECK(woken.load() == 6);
    });
}

TEST_CASE("a wait that runs out of time is false and holds the lock again", "[CND-004]")
{
    in_loop([]() -> task<> {
        condition c;
        auto held = co_await c.acquire();
        const auto begin = std::chrono::steady_clock::now();
        const bool notified = co_await c.wait_for(held, 20ms);
        CHECK_FALSE(notified);
        CHECK(std::chrono::steady_clock::now() - begin >= 20ms);
        CHECK(held);
        CHECK_FALSE(c.try_acquire());
        held.release();
        CHECK(c.try_acquire());
        CHECK(c.notify_one() == 0);
    });
}

TEST_CASE("a wait for something that is so returns at once, else its last value after the time", "[CND-005]")
{
    in_loop([]() -> task<> {
        condition c;
        auto held = co_await c.acquire();
        co_await c.wait(held, [] { return true; });
        const bool yes = co_await c.wait_for(held, 0s, [] { return true; });
        CHECK(yes);
        const bool no = co_await c.wait_for(held, 10ms, [] { return false; });
        CHECK_FALSE(no);
        int asked = 0;
        const bool at_last = co_await c.wait_for(held, 10ms, [&] { return ++asked > 1; });
        CHECK(at_last);
        CHECK(held);
    });
}

TEST_CASE("a wait needs a lock")
{
    in_loop([]() -> task<> {
        condition c;
        mutex_guard none;
        const auto without = co_await pool_test::failure_of(c.wait(none));
        CHECK(pool_test::is<usage_error>(without));
    });
}

TEST_CASE("two conditions under one mutex make a bounded buffer for processes")
{
    in_loop([]() -> task<> {
        const buffer b;
        constexpr int count = 300;
        auto first = co_await process::start(empty_buffer, b, count);
        auto second = co_await process::start(empty_buffer, b, count);
        for (int i = 1; i <= 2 * count; ++i) {
            auto held = co_await b.lock.acquire();
            co_await b.not_full.wait(held, [&] { return b.items.load() < 3; });
            b.items.fetch_add(1);
            held.release();
            b.not_empty.notify_one();
        }
        co_await first.join();
        co_await second.join();
        CHECK(b.items.load() == 0);
        CHECK(b.taken.load() == 2 * count);
        CHECK_FALSE(b.lock.locked());
    });
}

TEST_CASE("a cancelled wait hands its notification on, and leaves the lock to others")
{
    in_loop([]() -> task<> {
        condition c;
        shared_value<int> woken;
        auto first = co_await spawn(wait_and_count(c, woken));
        auto second = co_await spawn(wait_and_count(c, woken));
        CHECK(c.notify_one() == 1);
        first.cancel();
        const bool cancelled = co_await first.was_cancelled();
        CHECK(cancelled);
        co_await second.join();
        CHECK(woken.load() == 1);
        auto third = co_await spawn(wait_and_count(c, woken));
        third.cancel();
        const bool too = co_await third.was_cancelled();
        CHECK(too);
        CHECK(c.notify_one() == 0);
        CHECK(c.try_acquire());
    });
}

TEST_CASE("a notification whose only waiter here is cancelled goes to another process")
{
    in_loop([]() -> task<> {
        condition c;
        shared_value<int> asleep, woken, none;
        auto here = co_await spawn(wait_and_count(c, none)); // the first to come is the first to be told
        auto p = co_await process::start(waiters, c, 1, asleep, woken);
        co_await reaches(asleep, 1);
        CHECK(c.notify_one() == 1);
        here.cancel();
        const bool cancelled = co_await here.was_cancelled();
        CHECK(cancelled);
        co_await reaches(woken, 1);
        co_await p.join();
        CHECK(none.load() == 0);
    });
}

TEST_CASE("a notification is for those that waited then, not for who came later")
{
    auto place = detail::make_object(detail::object_kind::condition, sizeof(detail::condition_state), 0);
    auto& state = *reinterpret_cast<detail::condition_state*>(place->at);
    auto& all = detail::registry::here();
    mutex_guard held;
    detail::condition_wait first{state, all, held}, second{state, all, held}, third{state, all, held};
    CHECK_FALSE(first.try_now(0, 0));
    CHECK_FALSE(second.try_now(0, 0));
    CHECK(detail::notify(state, all, 1) == 1);
    CHECK_FALSE(third.try_now(0, 0));
    CHECK_FALSE(third.try_now(0, 1));
    CHECK_FALSE(second.try_now(0, 1));
    CHECK(first.try_now(0, 1));
    CHECK(detail::notify(state, all, 5) == 2);
    second.pass_on(0); // what it was told, nobody is left to be told
    CHECK(third.try_now(0, 2));
    CHECK(detail::notify(state, all, 1) == 0);
}

TEST_CASE("a process that is killed while it waits is skipped, also when it was notified")
{
    const bool notified = GENERATE(false, true);
    in_loop([=]() -> task<> {
        condition c;
        shared_value<int> asleep, woken, none;
        auto p = co_await process::start(waiters, c, 1, asleep, none);
        co_await reaches(asleep, 1);
        p.send_signal(SIGSTOP);
        if (notified)
            CHECK(c.notify_one() == 1);
        auto here = co_await spawn(wait_and_count(c, woken));
        co_await killed(p);
        if (!notified)
            while (c.notify_one() == 0 && !here.done())
                co_await let_others_run();
        co_await here.join();
        CHECK(woken.load() == 1);
        CHECK(none.load() == 0);
    });
}

TEST_CASE("a process that is killed with a condition's lock leaves it to the next one, who is told")
{
    in_loop([]() -> task<> {
        condition c;
        shared_value<int> holding;
        auto p = co_await process::start(hold, c, holding);
        co_await reaches(holding, 1);
        CHECK_FALSE(c.try_acquire());
        p.kill();
        auto held = co_await c.acquire();
        CHECK(held.owner_died());
        co_await p.join();
    });
}

TEST_CASE("producers and consumers in several processes deliver every item by one condition", "[CND-007]")
{
    in_loop([]() -> task<> {
        condition c;
        shared_value<int> place, left{300}, sum;
        std::vector<process> all;
        for (int i = 0; i < 2; ++i) {
            all.push_back(co_await process::start(take, c, place, left, sum));
            all.push_back(co_await process::start(put, c, place, 100));
        }
        co_await put(c, place, 100);
        for (auto& p : all) {
            const auto end = co_await p.join();
            CHECK(end.ok());
        }
        CHECK(sum.load() == 3 * 5050);
    });
}
