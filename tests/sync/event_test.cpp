#include "sync/parties.hpp"

#include <coproc/event.hpp>
#include <coproc/latch.hpp>

#include <vector>

using namespace coproc;
using namespace sync_test;

namespace {

task<> wait_and_count(event e, shared_value<int> woken)
{
    co_await e.wait();
    woken.fetch_add(1);
}

task<> waiters(event e, shared_value<int> asleep, shared_value<int> woken)
{
    std::vector<running> all;
    for (int i = 0; i < 3; ++i)
        all.push_back(co_await spawn(wait_and_count(e, woken)));
    asleep.fetch_add(3);
    for (auto& one : all)
        co_await one.join();
}

void set_it(event e) { e.set(); }

task<> arrive(latch l, shared_value<int> passed)
{
    co_await l.arrive_and_wait();
    passed.fetch_add(1);
}

} // namespace

TEST_CASE("an event that isn't set is waited for in vain, and one that is set isn't waited for", "[EVT-001]")
{
    in_loop([]() -> task<> {
        event e;
        CHECK_FALSE(e.is_set());
        const auto begin = std::chrono::steady_clock::now();
        const bool none = co_await e.wait_for(20ms);
        CHECK_FALSE(none);
        CHECK(std::chrono::steady_clock::now() - begin >= 20ms);
        e.set();
        e.set();
        CHECK(e.is_set());
        const bool at_once = co_await e.wait_for(0s);
        CHECK(at_once);
        co_await e.wait();
        e.clear();
        CHECK_FALSE(e.is_set());
        const bool again = co_await e.wait_for(-1s);
        CHECK_FALSE(again);
    });
}

TEST_CASE("an event wakes all that wait, in all processes, also if it is cleared at once", "[EVT-001]")
{
    in_loop([]() -> task<> {
        event e;
        shared_value<int> asleep, woken;
        std::vector<process> all;
        for (int i = 0; i < 3; ++i)
            all.push_back(co_await process::start(waiters, e, asleep, woken));
        auto here = co_await spawn(wait_and_count(e, woken));
        co_await reaches(asleep, 9);
        e.set();
        e.clear();
        co_await here.join();
        for (auto& p : all) {
            const auto end = co_await p.join();
            CHECK(end.ok());
        }
        CHECK(woken.load() == 10);
        CHECK_FALSE(e.is_set());
    });
}

TEST_CASE("a process sets an event that its parent waits for", "[EVT-002]")
{
    in_loop([]() -> task<> {
        event e;
        auto p = co_await process::start(set_it, e);
        co_await e.wait();
        CHECK(e.is_set());
        co_await p.join();
    });
}

TEST_CASE("a process that is killed while it waits for an event harms nobody", "[EVT-005]")
{
    in_loop([]() -> task<> {
        event e;
        shared_value<int> asleep, woken;
        auto dies = co_await process::start(waiters, e, asleep, woken);
        auto lives = co_await process::start(waiters, e, asleep, woken);
        co_await reaches(asleep, 6);
        co_await killed(dies);
        e.set();
        const auto end = co_await lives.join();
        CHECK(end.ok());
        CHECK(woken.load() == 3);
    });
}

TEST_CASE("a wait for an event that is cancelled ends, and the others go on")
{
    in_loop([]() -> task<> {
        event e;
        shared_value<int> woken;
        auto first = co_await spawn(wait_and_count(e, woken));
        auto second = co_await spawn(wait_and_count(e, woken));
        first.cancel();
        const bool cancelled = co_await first.was_cancelled();
        CHECK(cancelled);
        e.set();
        co_await second.join();
        CHECK(woken.load() == 1);
    });
}

TEST_CASE("a latch lets all go when it was counted down to zero, once and for ever, and not below")
{
    in_loop([]() -> task<> {
        latch l{4};
        shared_value<int> passed;
        std::vector<process> all;
        for (int i = 0; i < 2; ++i)
            all.push_back(co_await process::start(arrive, l, passed));
        while (l.value() > 2)
            co_await l.wait_for(1ms);
        const bool not_yet = co_await l.wait_for(10ms);
        CHECK_FALSE(not_yet);
        CHECK(passed.load() == 0);
        CHECK_THROWS_AS(l.count_down(3), usage_error);
        CHECK(l.value() == 2);
        l.count_down();
        CHECK_FALSE(l.try_wait());
        co_await l.arrive_and_wait();
        for (auto& p : all)
            co_await p.join();
        CHECK(passed.load() == 2);
        CHECK(l.try_wait());
        co_await l.wait();
        CHECK_THROWS_AS(l.count_down(), usage_error);
        CHECK(latch{}.try_wait());
    });
}
