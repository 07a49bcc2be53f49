// Eight processes at one thing, a hundred thousand times each, and what must be true of it at every moment.
#include "support/slowness.hpp"
#include "sync/copy_of_this.hpp"
#include "sync/parties.hpp"

#include <coproc/barrier.hpp>
#include <coproc/condition.hpp>
#include <coproc/event.hpp>
#include <coproc/latch.hpp>
#include <coproc/mutex.hpp>
#include <coproc/recursive_mutex.hpp>
#include <coproc/semaphore.hpp>
#include <coproc/shared_mutex.hpp>
#include <coproc/shared_value.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <vector>

#include <sched.h>

using namespace coproc;
using namespace sync_test;
using tests::copy_of_this;

namespace {

constexpr int processes = 8;
constexpr int times = 100'000 / (support::slowness * support::slowness * support::slowness);
// Where each operation waits for the seven others: as many in all.
constexpr int times_together = times / processes;

/// In so many copies of this process, each with its number, that begin together; each must end well.
void in_each(const std::function<void(int)>& work)
{
    barrier begin{processes};
    CHECK_FALSE(begin.broken()); // made before it is copied
    std::vector<std::unique_ptr<copy_of_this>> all;
    for (int i = 0; i < processes; ++i)
        all.push_back(std::make_unique<copy_of_this>([&, i] {
            sync_wait(begin.arrive_and_wait());
            work(i);
            return 0;
        }));
    for (auto& one : all)
        CHECK(one->end() == 0);
}

/// Now and then somebody else runs while this process has something: on few processors nobody would ever wait.
void others_run(int turn)
{
    if (turn % 256 == 0)
        ::sched_yield();
}

struct triple {
    std::int64_t a = 0, b = 0, c = 0;
};

} // namespace

TEST_CASE("eight processes count to a sum under one mutex", "[LCK-003]")
{
    mutex m;
    CHECK_FALSE(m.locked());
    shared_value<long> sum{0};
    shared_value<int> inside{0}, wrong{0};
    const bool coroutines = GENERATE(false, true);
    INFO((coroutines ? "coroutines" : "threads"));
    const int each = coroutines ? times / 5 : times;
    in_each([&](int) {
        const auto add = [&](int turn) {
            wrong.fetch_add(inside.exchange(1));
            const long before = sum.load();
            others_run(turn);
            sum.store(before + 1);
            inside.store(0);
        };
        if (coroutines)
            sync_wait([](mutex its, int count, auto f) -> task<> {
                for (int i = 0; i < count; ++i) {
                    auto held = co_await its.acquire();
                    f(i);
                }
            }(m, each, add));
        else
            for (int i = 0; i < each; ++i) {
                std::scoped_lock held{m};
                add(i);
            }
    });
    CHECK(wrong.load() == 0);
    CHECK(sum.load() == static_cast<long>(processes) * each);
    CHECK_FALSE(m.locked());
}

TEST_CASE("eight processes count to a sum under one recursive mutex, taken twice")
{
    coproc::recursive_mutex m;
    CHECK_FALSE(m.locked());
    shared_value<long> sum{0};
    in_each([&](int) {
        for (int i = 0; i < times; ++i) {
            std::scoped_lock outer{m};
            const long before = sum.load();
            others_run(i);
            std::scoped_lock inner{m};
            sum.store(before + 1);
        }
    });
    CHECK(sum.load() == static_cast<long>(processes) * times);
    CHECK_FALSE(m.locked());
}

TEST_CASE("eight processes read and write under one shared mutex, and no reader sees half a change")
{
    coproc::shared_mutex m;
    static_cast<void>(m.try_acquire());
    shared_value<long> a{0}, b{0};
    shared_value<int> wrong{0};
    in_each([&](int number) {
        for (int i = 0; i < times; ++i)
            if ((i + number) % 8 == 0) {
                std::unique_lock held{m};
                a.store(a.load() + 1);
                others_run(i);
                b.store(b.load() + 1);
            } else {
                std::shared_lock held{m};
                if (a.load() != b.load())
                    wrong.fetch_add(1);
            }
    });
    CHECK(wrong.load() == 0);
    CHECK(a.load() == b.load());
    CHECK(a.load() == static_cast<long>(processes) * times / 8);
    CHECK(m.try_acquire());
}

TEST_CASE("eight processes take three permits, never more at a time, and all come back", "[SEM-009]")
{
    semaphore s{3};
    CHECK(s.value() == 3);
    shared_value<int> inside{0}, wrong{0};
    shared_value<long> sum{0};
    in_each([&](int) {
        for (int i = 0; i < times; ++i) {
            std::scoped_lock permit{s};
            if (inside.fetch_add(1) >= 3)
                wrong.fetch_add(1);
            others_run(i);
            sum.fetch_add(1);
            inside.fetch_sub(1);
        }
    });
    CHECK(wrong.load() == 0);
    CHECK(sum.load() == static_cast<long>(processes) * times);
    CHECK(s.value() == 3);
}

TEST_CASE("an event that one process sets and clears is waited for by seven, who are let go only if it was set meanwhile", "[EVT-001]")
{
    event e;
    e.clear();
    shared_value<int> sets{0}, clears{0}, waiting{processes - 1}, too_early{0};
    in_each([&](int number) {
        if (number == 0) {
            for (int i = 0; waiting.load() > 0; ++i) {
                sets.fetch_add(1);
                e.set();
                if (i % 8 != 0)
                    continue;
                e.clear();
                clears.fetch_add(1);
            }
            e.set();
            return;
        }
        sync_wait([](event its, shared_value<int> begun, shared_value<int> over, shared_value<int> wrong) -> task<> {
            for (int i = 0; i < times; ++i) {
                const int before = over.load();
                auto turn = its.wait();
                co_await std::move(turn);
                if (begun.load() <= before)
                    wrong.fetch_add(1);
            }
        }(e, sets, clears, too_early));
        waiting.fetch_sub(1);
    });
    CHECK(too_early.load() == 0);
    CHECK(e.is_set());
}

TEST_CASE("four processes put and four take by one condition, and each number comes once", "[CND-007]")
{
    condition c;
    c.notify_all();
    constexpr int room = 64, in_all = processes / 2 * times;
    shared_value<int> there{0}, put{0}, taken{0}, wrong{0};
    shared_value<std::int64_t> sum_put{0}, sum_taken{0};
    in_each([&](int number) {
        sync_wait([&](bool puts) -> task<> {
            for (;;) {
                auto held = co_await c.acquire();
                auto& done = puts ? put : taken;
                auto turn = c.wait(held, [&] { return done.load() == in_all || (puts ? there.load() < room : there.load() > 0); });
                co_await std::move(turn);
                if (done.load() == in_all)
                    co_return;
                (puts ? sum_put : sum_taken).store((puts ? sum_put : sum_taken).load() + done.load());
                done.store(done.load() + 1);
                there.store(there.load() + (puts ? 1 : -1));
                if (there.load() < 0 || there.load() > room)
                    wrong.fetch_add(1);
                c.notify_one();
                if (done.load() == in_all)
                    c.notify_all();
            }
        }(number % 2 == 0));
    });
    CHECK(wrong.load() == 0);
    CHECK(put.load() == in_all);
    CHECK(taken.load() == in_all);
    CHECK(there.load() == 0);
    CHECK(sum_put.load() == sum_taken.load());
}

TEST_CASE("eight processes meet at a barrier, none begins a round early, and each round has one leader", "[BAR-001][BAR-008]")
{
    barrier b{processes};
    CHECK_FALSE(b.broken());
    shared_value<int> arrived{0}, leaders{0}, wrong{0};
    in_each([&](int) {
        sync_wait([](barrier its, shared_value<int> here, shared_value<int> first, shared_value<int> bad) -> task<> {
            for (int i = 1; i <= times_together; ++i) {
                here.fetch_add(1);
                auto turn = its.arrive_and_wait();
                first.fetch_add(co_await std::move(turn) ? 1 : 0);
                const int now = here.load();
                if (now < processes * i || now > processes * (i + 1))
                    bad.fetch_add(1);
            }
        }(b, arrived, leaders, wrong));
    });
    CHECK(wrong.load() == 0);
    CHECK(arrived.load() == processes * times_together);
    CHECK(leaders.load() == times_together);
    CHECK_FALSE(b.broken());
}

TEST_CASE("a latch that eight processes count down lets each of them go at zero, not before")
{
    latch l{static_cast<std::uint32_t>(processes) * times};
    shared_value<int> counted{0}, too_early{0};
    in_each([&](int) {
        for (int i = 0; i < times; ++i) {
            counted.fetch_add(1);
            l.count_down();
        }
        sync_wait(l.wait());
        if (counted.load() != processes * times || l.value() != 0)
            too_early.fetch_add(1);
    });
    CHECK(too_early.load() == 0);
    CHECK(l.try_wait());
}

TEST_CASE("eight processes change one value, by all means there are, and each change is whole and counts", "[VAL-005]")
{
    shared_value<triple> t{triple{}};
    shared_value<int> n{0}, wrong{0};
    in_each([&](int number) {
        sync_wait([&](bool large) -> task<> {
            for (int i = 0; i < times; ++i) {
                n.fetch_add(1);
                if (!large) {
                    auto turn = n.update([](int& now) { ++now; });
                    co_await std::move(turn);
                    continue;
                }
                auto turn = t.update([i](triple& now) {
                    others_run(i);
                    now = {now.a + 1, now.b + 1, now.c + 1};
                });
                co_await std::move(turn);
                if (const triple now = t.load(); now.a != now.b || now.b != now.c)
                    wrong.fetch_add(1);
            }
        }(number % 2 == 0));
    });
    CHECK(wrong.load() == 0);
    CHECK(n.load() == processes * times + processes / 2 * times);
    CHECK(t.load().a == std::int64_t{processes / 2} * times);
}
