#include "sync/parties.hpp"

#include <coproc/recursive_mutex.hpp>

#include <mutex>
#include <thread>
#include <vector>

using namespace coproc;
using namespace sync_test;

namespace {

task<> take(coproc::recursive_mutex m, int& got)
{
    auto held = co_await m.acquire();
    ++got;
}

task<> take_twice(coproc::recursive_mutex m, int& got)
{
    auto held = co_await m.acquire();
    co_await take(m, got);
}

task<> hold(coproc::recursive_mutex m, shared_value<int> holding)
{
    auto outer = co_await m.acquire();
    auto inner = co_await m.acquire();
    holding.store(1);
    co_await wait_for_the_end();
}

int release_what_it_has_not(coproc::recursive_mutex m)
{
    try {
        m.unlock();
    } catch (const usage_error&) {
        return 5;
    }
    return 0;
}

int take_and_release(coproc::recursive_mutex m)
{
    std::scoped_lock outer{m};
    std::scoped_lock inner{m};
    return 6;
}

task<> count(coproc::recursive_mutex m, shared_value<int> number, int times)
{
    for (int i = 0; i < times; ++i) {
        auto outer = co_await m.acquire();
        int before = number.load();
        auto inner = co_await m.acquire();
        if (i % 8 == 0)
            co_await let_others_run();
        number.store(before + 1);
    }
}

} // namespace

TEST_CASE("a coroutine takes a recursive mutex again, also in what it awaits, and another one waits", "[RLK-002]")
{
    in_loop([]() -> task<> {
        coproc::recursive_mutex m;
        auto outer = co_await m.acquire();
        int got = 0;
        co_await take_twice(m, got);
        CHECK(got == 1);
        auto other = co_await spawn(take(m, got));
        CHECK_FALSE(other.done());
        outer.release();
        outer.release();
        co_await other.join();
        CHECK(got == 2);
        CHECK_FALSE(m.locked());
    });
}

TEST_CASE("a recursive mutex released once of two keeps others out", "[RLK-003]")
{
    in_loop([]() -> task<> {
        coproc::recursive_mutex m;
        auto outer = co_await m.acquire();
        auto inner = co_await m.try_acquire();
        REQUIRE(inner);
        int got = 0;
        auto other = co_await spawn(take(m, got));
        outer.release(); // in any order
        co_await let_others_run();
        CHECK_FALSE(other.done());
        CHECK(m.locked());
        inner.reset();
        co_await other.join();
    });
    coproc::recursive_mutex m;
    m.lock();
    m.lock();
    m.unlock();
    bool got = true;
    std::thread{[&] { got = m.try_lock(); }}.join();
    CHECK_FALSE(got);
    m.unlock();
    CHECK_THROWS_AS(m.unlock(), usage_error);
}

TEST_CASE("a process can't release a recursive mutex that it doesn't have, and takes it afterwards", "[RLK-004]")
{
    in_loop([]() -> task<> {
        coproc::recursive_mutex m;
        auto held = co_await m.acquire();
        auto refused = co_await process::start(release_what_it_has_not, m);
        const auto end = co_await refused.join();
        CHECK(end.code() == 5);
        CHECK_THROWS_AS(m.unlock(), usage_error); // the coroutine has it, not the thread
        CHECK(m.locked());
        held.release();
        auto taken = co_await process::start(take_and_release, m);
        const auto other_end = co_await taken.join();
        CHECK(other_end.code() == 6);
    });
}

TEST_CASE("the wait for a recursive mutex ends with its time, or when it is cancelled")
{
    in_loop([]() -> task<> {
        coproc::recursive_mutex m;
        int got = 0;
        m.lock(); // as a thread, which is somebody else
        auto none = co_await m.try_acquire();
        CHECK_FALSE(none);
        auto neither = co_await m.try_acquire_for(10ms);
        CHECK_FALSE(neither);
        auto other = co_await spawn(take(m, got));
        other.cancel();
        const bool cancelled = co_await other.was_cancelled();
        CHECK(cancelled);
        m.unlock();
        auto held = co_await m.try_acquire_for(10s);
        CHECK(held);
        CHECK_FALSE(m.try_lock());
        CHECK_FALSE(m.try_lock_for(5ms));
        CHECK(got == 0);
    });
}

TEST_CASE("who takes a recursive mutex after its owner was killed is told, and has it once")
{
    in_loop([]() -> task<> {
        coproc::recursive_mutex m;
        shared_value<int> holding;
        auto p = co_await process::start(hold, m, holding);
        co_await reaches(holding, 1);
        p.kill();
        {
            auto held = co_await m.acquire();
            CHECK(held.owner_died());
            auto again = co_await m.acquire();
            CHECK_FALSE(again.owner_died());
        }
        CHECK_FALSE(m.locked());
        co_await p.join();
    });
}

TEST_CASE("coroutines of several processes exclude one another with a recursive mutex")
{
    in_loop([]() -> task<> {
        coproc::recursive_mutex m;
        shared_value<int> number;
        std::vector<process> all;
        for (int i = 0; i < 2; ++i)
            all.push_back(co_await process::start(count, m, number, 200));
        std::vector<running> here;
        for (int i = 0; i < 2; ++i)
            here.push_back(co_await spawn(count(m, number, 200)));
        for (auto& one : here)
            co_await one.join();
        for (auto& p : all)
            co_await p.join();
        CHECK(number.load() == 800);
    });
}
