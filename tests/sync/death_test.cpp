// What processes share when one of them is killed: at each single step of an operation, and at a thousand moments
// while another process is at the same thing. Nobody who lives waits for the dead, what they held comes back once, and who
// has it next is told.
#include "support/eventually.hpp"
#include "support/killed.hpp"
#include "support/proc.hpp"
#include "sync/copy_of_this.hpp"
#include "sync/parties.hpp"

#include "sync/arena.hpp"
#include "sync/barrier_core.hpp"

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
#include <memory>
#include <optional>
#include <random>
#include <vector>

using namespace coproc;
using namespace sync_test;
using support::killed_before_each_step;
using support::killed_at_any_moment;
using tests::copy_of_this;

namespace {

/// False: steps can't be seen on this processor, and nothing was tested.
bool was_tested(int steps)
{
    if (steps == 0)
        WARN("steps can't be seen on this processor: not tested");
    return steps != 0;
}

/// How many permits can be had at this moment.
int permits_of(const semaphore& s)
{
    std::vector<semaphore_permit> all;
    while (auto permit = s.try_acquire())
        all.push_back(std::move(*permit));
    return static_cast<int>(all.size());
}

/// What somebody who waits is told when it has it.
struct news {
    int got = 0;
    bool owner_died = false;
};

task<> have(auto turn, news& told)
{
    auto held = co_await std::move(turn);
    ++told.got;
    if constexpr (requires { held.owner_died(); })
        told.owner_died = held.owner_died();
}

task<> see(task<> turn, int& seen)
{
    co_await std::move(turn);
    ++seen;
}

task<> wait_at(condition c, int& woken)
{
    auto held = co_await c.acquire();
    auto turn = c.wait(held);
    co_await std::move(turn);
    ++woken;
}

/// What became of those that arrived at a barrier.
struct meeting {
    int passed = 0, leaders = 0, broken = 0;
};

task<> arrive(barrier b, meeting& end)
{
    auto turn = b.arrive_and_wait();
    try {
        const bool last = co_await std::move(turn);
        ++end.passed;
        end.leaders += last ? 1 : 0;
    } catch (const broken_barrier&) {
        ++end.broken;
    }
}

struct triple {
    std::int64_t a = 0, b = 0, c = 0;
};
bool is_whole(const triple& t) { return t.a == t.b && t.b == t.c; }

constexpr auto not_at_all = 1ns; // too short a time to get what somebody else has

} // namespace

// Mutexes

TEST_CASE("a process that dies at any step of taking a mutex and giving it back leaves it to the next one, who is told", "[LCK-004]")
{
    mutex m;
    CHECK_FALSE(m.locked()); // made before it is copied
    shared_value<int> inside{0};
    int told = 0;
    const auto take_and_give = [&] {
        m.lock();
        inside.store(1);
        inside.store(0);
        m.unlock();
    };
    const int steps = killed_before_each_step({
        .first = take_and_give,
        .body = take_and_give,
        .check = [&](int n) {
            INFO("killed before step " << n);
            auto held = m.try_acquire();
            REQUIRE(held);
            REQUIRE((inside.exchange(0) == 0 || held->owner_died()));
            told += held->owner_died() ? 1 : 0;
        },
    });
    if (was_tested(steps))
        CHECK((told > 0 && told < steps));
}

TEST_CASE("a process that dies at any step of giving a mutex back leaves it to one that sleeps, who is told", "[LCK-004]")
{
    mutex m;
    CHECK_FALSE(m.locked());
    shared_value<int> inside{0};
    loop_beside here;
    int told = 0;
    news last;
    const int steps = killed_before_each_step({
        .prepare = [&] { last = {}; },
        .first = [&] {
            m.lock();
            inside.store(1);
        },
        .beside = [&] { here.begin(have(m.acquire(), last)); },
        .body = [&] {
            inside.store(0);
            m.unlock();
        },
        .check = [&](int n) {
            INFO("killed before step " << n);
            here.end();
            REQUIRE(last.got == 1);
            REQUIRE((inside.exchange(0) == 0 || last.owner_died));
            told += last.owner_died ? 1 : 0;
        },
    });
    if (was_tested(steps))
        CHECK((told > 0 && !last.owner_died));
}

TEST_CASE("a process that dies at any step of waiting for a mutex takes nobody's turn")
{
    mutex m, other;
    m.lock();
    loop_beside here;
    news last;
    const int steps = killed_before_each_step({
        .prepare = [&] { last = {}; },
        .first = [&] { static_cast<void>(m.try_lock_for(not_at_all)); },
        .beside = [&] { here.begin(have(m.acquire(), last)); },
        .body = [&] { static_cast<void>(m.try_lock_for(not_at_all)); },
        .check = [&](int n) {
            INFO("killed before step " << n);
            m.unlock();
            here.end();
            REQUIRE(last.got == 1);
            REQUIRE_FALSE(last.owner_died);
            m.lock();
        },
    });
    static_cast<void>(was_tested(steps));
    m.unlock();
}

TEST_CASE("a process that dies at any step with a recursive mutex leaves it to one that sleeps, who is told")
{
    coproc::recursive_mutex m;
    CHECK_FALSE(m.locked());
    loop_beside here;
    int told = 0;
    news last;
    const int steps = killed_before_each_step({
        .prepare = [&] { last = {}; },
        .first = [&] { m.lock(); },
        .beside = [&] { here.begin(have(m.acquire(), last)); },
        .body = [&] {
            m.lock();
            m.unlock();
            m.unlock();
        },
        .check = [&](int n) {
            INFO("killed before step " << n);
            here.end();
            REQUIRE(last.got == 1);
            REQUIRE_FALSE(m.locked());
            told += last.owner_died ? 1 : 0;
        },
    });
    if (was_tested(steps))
        CHECK((told > 0 && !last.owner_died));
}

TEST_CASE("processes that are killed at any moment leave a mutex that the next one gets", "[LCK-004]")
{
    mutex m;
    CHECK_FALSE(m.locked());
    shared_value<int> inside{0};
    int held = 0, told = 0;
    const bool coroutine = GENERATE(false, true);
    const auto take = [&] {
        auto guard = sync_wait(m.acquire());
        if (inside.exchange(0) == 1) {
            ++held;
            CHECK(guard.owner_died());
        }
        told += guard.owner_died() ? 1 : 0;
    };
    killed_at_any_moment({
        .beside = take,
        .body = [&] {
            auto guard = coroutine ? sync_wait(m.acquire()) : mutex_guard{};
            if (!coroutine)
                m.lock();
            inside.store(1);
            inside.store(0);
            if (!coroutine)
                m.unlock();
        },
        .check = [&](int) { take(); },
    });
    CHECK(told >= held);
    CHECK(told > 0);
    CHECK_FALSE(m.locked());
}

TEST_CASE("processes that contend are killed at any moment, and the others go on", "[LCK-004]")
{
    mutex m;
    CHECK_FALSE(m.locked());
    shared_value<int> inside{0};
    shared_value<long> entries{0};
    std::minstd_rand random{11};
    const auto contend = [&] {
        for (;;) {
            auto guard = sync_wait(m.acquire());
            if (inside.exchange(1) != 0 && !guard.owner_died())
                return 1;
            entries.fetch_add(1);
            inside.store(0);
        }
    };
    std::vector<std::unique_ptr<copy_of_this>> all;
    for (int i = 0; i < 3; ++i)
        all.push_back(std::make_unique<copy_of_this>(contend));
    for (int i = 0; i < support::many_deaths; ++i) {
        for (long now = entries.load(), end = now + 3; now < end; now = entries.load())
            sync_wait(entries.wait(now));
        auto& one = all[random() % all.size()];
        REQUIRE_FALSE(support::has_ended(one->pid())); // it would have found two inside
        one = nullptr;
        one = std::make_unique<copy_of_this>(contend);
    }
    for (auto& one : all)
        CHECK_FALSE(support::has_ended(one->pid()));
}

TEST_CASE("a recursive mutex can be had again, once, when its owners were killed at any moment")
{
    coproc::recursive_mutex m;
    CHECK_FALSE(m.locked());
    shared_value<int> depth{0};
    int told = 0;
    const auto take = [&] {
        auto held = sync_wait(m.acquire());
        REQUIRE((depth.exchange(0) == 0 || held.owner_died()));
        told += held.owner_died() ? 1 : 0;
    };
    killed_at_any_moment({
        .beside = take,
        .body = [&] {
            m.lock();
            depth.store(1);
            m.lock();
            depth.store(2);
            m.unlock();
            depth.store(0);
            m.unlock();
        },
        .check = [&](int) {
            take();
            REQUIRE_FALSE(m.locked());
        },
    });
    CHECK(told > 0);
}

// Shared mutexes

TEST_CASE("a process that dies at any step of reading or writing leaves the mutex to others")
{
    const bool writing = GENERATE(false, true);
    coproc::shared_mutex m;
    static_cast<void>(m.try_acquire()); // made before it is copied
    int told = 0;
    const auto take_and_give = [&] { (writing ? m.try_acquire() : m.try_acquire_shared()).reset(); };
    const int steps = killed_before_each_step({
        .first = take_and_give,
        .body = take_and_give,
        .check = [&](int n) {
            INFO("killed before step " << n);
            auto held = m.try_acquire();
            REQUIRE(held);
            told += held->owner_died() ? 1 : 0;
        },
    });
    if (was_tested(steps))
        CHECK((told > 0) == writing);
}

TEST_CASE("a process that dies at any step of giving a shared mutex back leaves it to all that sleep")
{
    const bool writing = GENERATE(false, true);
    coproc::shared_mutex m;
    static_cast<void>(m.try_acquire()); // made before it is copied
    loop_beside here;
    news read, written;
    int told = 0;
    std::optional<shared_mutex_guard> held;
    const int steps = killed_before_each_step({
        .prepare = [&] { read = written = {}; },
        .first = [&] { held = writing ? m.try_acquire() : m.try_acquire_shared(); },
        .beside = [&] {
            here.begin(have(m.acquire(), written));
            here.begin(have(m.acquire_shared(), read));
        },
        .body = [&] { held.reset(); },
        .check = [&](int n) {
            INFO("killed before step " << n);
            here.end();
            REQUIRE((read.got == 1 && written.got == 1));
            told += read.owner_died || written.owner_died ? 1 : 0;
            REQUIRE_FALSE(m.try_acquire()->owner_died());
        },
    });
    if (was_tested(steps))
        CHECK((told > 0) == writing);
}

TEST_CASE("readers and writers that are killed at any moment leave nothing half written but to those who are told")
{
    coproc::shared_mutex m;
    static_cast<void>(m.try_acquire());
    shared_value<int> a{0}, b{0}, wrong{0};
    int turn = 0, told = 0;
    const auto look = [&] {
        auto held = sync_wait(m.acquire_shared());
        if (a.load() != b.load() && !held.owner_died())
            wrong.fetch_add(1);
    };
    killed_at_any_moment({
        .beside = look,
        .body = [&] {
            if (++turn % 3 == 0) {
                auto held = sync_wait(m.acquire());
                a.fetch_add(1);
                b.fetch_add(1);
            } else
                look();
        },
        .check = [&](int) {
            look();
            REQUIRE(wrong.load() == 0);
            auto held = sync_wait(m.acquire());
            REQUIRE((a.load() == b.load() || held.owner_died()));
            told += held.owner_died() ? 1 : 0;
            b.store(a.load());
        },
    });
    CHECK(told > 0);
    CHECK_FALSE(m.try_acquire()->owner_died());
}

// Semaphores

TEST_CASE("a process that dies at any step of taking a permit and giving it back loses none", "[SEM-007][SEM-009]")
{
    semaphore s{1};
    const auto take_and_give = [&] { s.try_acquire().reset(); };
    const int steps = killed_before_each_step({
        .first = take_and_give,
        .beside = take_and_give, // which leaves an entry to be made by whoever comes next
        .body = take_and_give,
        .check = [&](int n) {
            INFO("killed before step " << n);
            REQUIRE(permits_of(s) == 1);
        },
    });
    if (was_tested(steps))
        CHECK(steps > 2);
}

TEST_CASE("a process that dies at any step of giving a permit back gives it to one that sleeps", "[SEM-007]")
{
    semaphore s{1};
    loop_beside here;
    news last;
    std::optional<semaphore_permit> permit;
    const int steps = killed_before_each_step({
        .prepare = [&] { last = {}; },
        .first = [&] { permit = s.try_acquire(); },
        .beside = [&] { here.begin(have(s.acquire(), last)); },
        .body = [&] { permit.reset(); },
        .check = [&](int n) {
            INFO("killed before step " << n);
            here.end();
            REQUIRE(last.got == 1);
            REQUIRE(permits_of(s) == 1);
        },
    });
    static_cast<void>(was_tested(steps));
}

TEST_CASE("a process that dies at any step of adding permits has added all or none, and those that sleep get them", "[SEM-009]")
{
    semaphore s{0};
    CHECK(s.value() == 0); // made before it is copied
    loop_beside here;
    news first, second;
    int added = 0, not_added = 0;
    const int steps = killed_before_each_step({
        .prepare = [&] { first = second = {}; },
        .beside = [&] {
            here.begin(have(s.acquire(), first));
            here.begin(have(s.acquire(), second));
        },
        .body = [&] { s.release(2); },
        .check = [&](int n) {
            INFO("killed before step " << n);
            const auto there = s.value();
            REQUIRE((there == 0 || there == 2));
            ++(there == 2 ? added : not_added);
            if (there == 0)
                s.release(2);
            here.end();
            REQUIRE((first.got == 1 && second.got == 1));
            REQUIRE(permits_of(s) == 2);
            while (auto permit = s.try_acquire())
                permit->consume();
        },
    });
    if (was_tested(steps))
        CHECK((added > 0 && not_added > 0));
}

TEST_CASE("permits are neither lost nor made when processes that take and give them are killed at any moment", "[SEM-007]")
{
    semaphore s{3};
    int turn = 0;
    killed_at_any_moment({
        .beside = [&] {
            auto first = sync_wait(s.acquire());
            auto second = sync_wait(s.acquire());
            auto third = sync_wait(s.acquire()); // now and then it has to wait
        },
        .body = [&] {
            auto first = sync_wait(s.acquire());
            auto second = ++turn % 3 == 0 ? s.try_acquire() : std::nullopt;
        },
        .check = [&](int) { REQUIRE(permits_of(s) == 3); },
    });
}

TEST_CASE("each release of a process that is killed at any moment has added its permits, but for the last one", "[SEM-009]")
{
    semaphore s{0};
    CHECK(s.value() == 0); // made before it is copied
    shared_value<int> released{0};
    int taken = 0;
    const auto take = [&] {
        while (auto permit = s.try_acquire()) {
            permit->consume();
            ++taken;
        }
    };
    killed_at_any_moment({
        .prepare = [&] {
            released.store(0);
            taken = 0;
        },
        .beside = take,
        .body = [&] {
            s.release(2);
            released.fetch_add(2);
        },
        .check = [&](int) {
            take();
            REQUIRE((taken == released.load() || taken == released.load() + 2));
        },
    });
}

// Events and latches

TEST_CASE("a process that dies at any step of setting an event has woken those that wait, or not set it")
{
    event e;
    e.clear(); // made before it is copied
    loop_beside here;
    int seen = 0, set = 0, not_set = 0;
    const int steps = killed_before_each_step({
        .prepare = [&] {
            e.clear();
            seen = 0;
        },
        .beside = [&] {
            here.begin(see(e.wait(), seen));
            here.begin(see(e.wait(), seen));
        },
        .body = [&] { e.set(); },
        .check = [&](int n) {
            INFO("killed before step " << n);
            ++(e.is_set() ? set : not_set);
            if (!e.is_set())
                e.set();
            here.end();
            REQUIRE(seen == 2);
        },
    });
    if (was_tested(steps))
        CHECK((set > 0 && not_set > 0));
}

TEST_CASE("a process that dies at any step of waiting for an event harms nobody who waits", "[EVT-005]")
{
    event e;
    e.clear(); // made before it is copied
    loop_beside here;
    int seen = 0;
    const auto wait = [&] { static_cast<void>(sync_wait(e.wait_for(not_at_all))); };
    const int steps = killed_before_each_step({
        .prepare = [&] {
            e.clear();
            seen = 0;
        },
        .first = wait,
        .beside = [&] { here.begin(see(e.wait(), seen)); },
        .body = wait,
        .check = [&](int n) {
            INFO("killed before step " << n);
            e.set();
            here.end();
            REQUIRE(seen == 1);
        },
        .sparse = 5,
    });
    static_cast<void>(was_tested(steps));
}

TEST_CASE("who waits for an event sees each time that it is set, though those who set it are killed at any moment")
{
    event e;
    e.clear(); // made before it is copied
    shared_value<int> sets{0};
    loop_beside here;
    int seen = 0, seen_at_first = 0, sets_before = 0;
    killed_at_any_moment({
        .prepare = [&] {
            e.clear();
            sets_before = sets.load();
            seen_at_first = seen;
            here.begin(see(e.wait(), seen));
        },
        .body = [&] {
            e.set();
            sets.fetch_add(1);
            e.clear();
        },
        .check = [&](int) {
            if (sets.load() == sets_before)
                e.set(); // it may have died before it could
            here.end();
            REQUIRE(seen == seen_at_first + 1);
        },
    });
}

TEST_CASE("a process that dies at any step of counting a latch down has let those that wait go, or not counted")
{
    latch l;
    loop_beside here;
    int seen = 0, counted = 0, not_counted = 0;
    const int steps = killed_before_each_step({
        .prepare = [&] {
            l = latch{1};
            seen = 0;
        },
        .beside = [&] {
            here.begin(see(l.wait(), seen));
            here.begin(see(l.wait(), seen));
        },
        .body = [&] { l.count_down(); },
        .check = [&](int n) {
            INFO("killed before step " << n);
            ++(l.try_wait() ? counted : not_counted);
            if (!l.try_wait())
                l.count_down();
            here.end();
            REQUIRE(seen == 2);
        },
    });
    if (was_tested(steps))
        CHECK((counted > 0 && not_counted > 0));
}

TEST_CASE("a latch lets all go at zero though those who count are killed at any moment")
{
    latch l;
    shared_value<std::uint32_t> counted{0};
    loop_beside here;
    int seen = 0, rounds = 0;
    constexpr std::uint32_t all = 6;
    killed_at_any_moment({
        .prepare = [&] {
            l = latch{all};
            counted.store(0);
            ++rounds;
            here.begin(see(l.wait(), seen));
        },
        .body = [&] {
            if (l.value() > 0) {
                l.count_down();
                counted.fetch_add(1);
            }
        },
        .check = [&](int) {
            REQUIRE((all - l.value() == counted.load() || all - l.value() == counted.load() + 1));
            if (auto left = l.value(); left > 0)
                l.count_down(left);
            here.end();
            REQUIRE(seen == rounds);
        },
    });
}

// Conditions

TEST_CASE("a process that dies at any step of notifying has woken one that sleeps, or none is notified")
{
    condition c;
    c.notify_all(); // made before it is copied
    loop_beside here;
    int woken = 0, told = 0, not_told = 0;
    const int steps = killed_before_each_step({
        .prepare = [&] { woken = 0; },
        .first = [&] { c.notify_all(); },
        .beside = [&] { here.begin(wait_at(c, woken)); },
        .body = [&] { c.notify_one(); },
        .check = [&](int n) {
            INFO("killed before step " << n);
            const auto more = c.notify_one(); // wakes nobody if it was notified before
            ++(more == 0 ? told : not_told);
            here.end();
            REQUIRE(woken == 1);
            REQUIRE(c.notify_all() == 0);
            REQUIRE(c.try_acquire());
        },
    });
    if (was_tested(steps))
        CHECK((told > 0 && not_told > 0));
}

TEST_CASE("a process that dies at any step of waiting at a condition keeps neither its lock nor another one's notification")
{
    condition c;
    c.notify_all(); // made before it is copied
    loop_beside here;
    int woken = 0, told = 0;
    const auto wait = [&] {
        sync_wait([](condition at) -> task<> {
            auto held = co_await at.acquire();
            auto turn = at.wait_for(held, not_at_all);
            co_await std::move(turn);
        }(c));
    };
    const int steps = killed_before_each_step({
        .prepare = [&] { woken = 0; },
        .first = wait,
        .beside = [&] { here.begin(wait_at(c, woken)); },
        .body = wait,
        .check = [&](int n) {
            INFO("killed before step " << n);
            {
                auto held = sync_wait(c.acquire());
                told += held.owner_died() ? 1 : 0;
            }
            REQUIRE(c.notify_one() == 1);
            here.end();
            REQUIRE(woken == 1);
            REQUIRE(c.notify_all() == 0);
        },
        .sparse = 5,
    });
    if (was_tested(steps))
        CHECK(told > 0);
}

TEST_CASE("what producers that are killed at any moment pass on by a condition comes once and in order", "[CND-007]")
{
    condition c;
    c.notify_all(); // made before it is copied
    shared_value<int> place{0}, next{1};
    int expected = 1;
    const auto take = [&] {
        if (const int item = place.exchange(0); item != 0)
            REQUIRE(item == expected++);
    };
    killed_at_any_moment({
        .prepare = [&] { next.store(expected); },
        .first = // the last one may have died before it counted
        {},
        .beside = [&] {
            auto held = sync_wait(c.acquire());
            sync_wait(c.wait(held, [&] { return place.load() != 0; }));
            take();
            c.notify_all();
        },
        .body = [&] {
            sync_wait([](condition at, shared_value<int> to, shared_value<int> number) -> task<> {
                auto held = co_await at.acquire();
                auto turn = at.wait(held, [&] { return to.load() == 0; });
                co_await std::move(turn);
                to.store(number.load());
                number.fetch_add(1);
                at.notify_all();
            }(c, place, next));
        },
        .check = [&](int) {
            auto held = sync_wait(c.acquire());
            take();
        },
        .together = true,
    });
    CHECK(expected > support::many_deaths);
}

// Barriers

TEST_CASE("a process that dies at any step of arriving at a barrier hasn't arrived, or breaks it")
{
    auto place = detail::make_object(detail::object_kind::barrier, sizeof(detail::barrier_state), 0);
    auto& b = *reinterpret_cast<detail::barrier_state*>(place->at);
    auto& all = detail::registry::here();
    b.parties = 2;
    shared_value<std::uint32_t> copy;
    detail::barrier_round round;
    bool arrived = false;
    const int steps = killed_before_each_step({
        .prepare = [&] {
            detail::break_now(b, all);
            detail::reset(b, all);
        },
        .first = [&] { copy.store(detail::registry::here().self()); },
        .body = [&] { static_cast<void>(detail::arrive(b, detail::registry::here(), round)); },
        .check = [&](int n) {
            all.check(copy.load());
            arrived = detail::arrived(b) == 1;
            INFO("killed before step " << n << ", arrived: " << arrived);
            REQUIRE((!arrived || detail::is_broken(b, all)));
        },
    });
    if (was_tested(steps))
        CHECK(arrived);
}

TEST_CASE("a process that dies at any step as the last one at a barrier lets those that wait there pass, or breaks it")
{
    barrier b{2};
    CHECK_FALSE(b.broken());
    loop_beside here;
    meeting end;
    int passed = 0, broken = 0, not_there = 0;
    const int steps = killed_before_each_step({
        .prepare = [&] {
            b.reset();
            end = {};
        },
        .first = [&] { static_cast<void>(sync_wait(barrier{1}.arrive_and_wait())); },
        .beside = [&] { here.begin(arrive(b, end)); },
        .body = [&] { static_cast<void>(sync_wait(b.arrive_and_wait())); },
        .check = [&](int n) {
            INFO("killed before step " << n);
            if (b.waiting() == 1 && !b.broken()) { // it didn't come
                ++not_there;
                here.begin(arrive(b, end));
                here.end();
                REQUIRE((end.passed == 2 && end.leaders == 1));
                return;
            }
            here.end();
            REQUIRE((end.passed + end.broken == 1 && end.leaders == 0));
            ++(end.passed == 1 ? passed : broken);
        },
    });
    if (was_tested(steps)) {
        CHECK(passed > 0);
        CHECK(broken > 0);
        CHECK(not_there > 0);
    }
}

TEST_CASE("a party that is killed at any moment breaks a barrier only for those with whom it was there")
{
    barrier b{2};
    CHECK_FALSE(b.broken());
    loop_beside here;
    killed_at_any_moment({
        .prepare = [&] { b.reset(); },
        .beside = [&] { static_cast<void>(sync_wait(b.arrive_and_wait())); },
        .body = [&] { static_cast<void>(sync_wait(b.arrive_and_wait())); },
        .check = [&](int) {
            meeting end;
            here.begin(arrive(b, end));
            if (here.unfinished() > 0)
                here.begin(arrive(b, end));
            here.end();
            const bool with_the_dead = end.passed == 1 && end.broken == 0; // it came before it was killed
            REQUIRE((end.passed == 2 || with_the_dead || (end.passed == 0 && end.broken > 0)));
            REQUIRE(end.leaders == (end.passed > 0 ? 1 : 0));
            REQUIRE(b.broken() == (end.broken > 0));
        },
        .together = true,
    });
}

// Values

TEST_CASE("a process that dies at any step of an update has changed all of a value or nothing, and who waits is woken")
{
    shared_value<triple> t{triple{}};
    loop_beside here;
    int seen = 0, changed = 0, not_changed = 0;
    const auto add = [&] {
        sync_wait(t.update([](triple& now) { now = {now.a + 1, now.b + 1, now.c + 1}; }));
    };
    const int steps = killed_before_each_step({
        .prepare = [&] {
            t.store({});
            seen = 0;
        },
        .first = [] { static_cast<void>(sync_wait(shared_value<triple>{}.update([](triple&) {}))); },
        .beside = [&] { here.begin(see(t.wait(triple{}), seen)); },
        .body = add,
        .check = [&](int n) {
            INFO("killed before step " << n);
            const triple now = t.load();
            REQUIRE((is_whole(now) && now.a <= 1));
            ++(now.a == 1 ? changed : not_changed);
            if (now.a == 0)
                add();
            here.end();
            REQUIRE(seen == 1);
        },
        .sparse = 2,
    });
    if (was_tested(steps))
        CHECK((changed > 0 && not_changed > 0));
}

TEST_CASE("a value that processes update while they are killed at any moment has each update, whole, and the last one or not", "[VAL-005]")
{
    shared_value<triple> t{triple{}};
    shared_value<std::int64_t> done{0};
    std::int64_t here = 0;
    const auto add = [&] {
        sync_wait(t.update([](triple& now) { now = {now.a + 1, now.b + 1, now.c + 1}; }));
    };
    killed_at_any_moment({
        .prepare = [&] {
            t.store({});
            done.store(0);
            here = 0;
        },
        .beside = [&] {
            add();
            ++here;
        },
        .body = [&] {
            add();
            done.fetch_add(1);
        },
        .check = [&](int) {
            const triple now = t.load();
            REQUIRE(is_whole(now));
            REQUIRE((now.a == here + done.load() || now.a == here + done.load() + 1));
        },
    });
}
