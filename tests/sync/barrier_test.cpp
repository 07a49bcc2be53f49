#include "sync/parties.hpp"

#include "sync/arena.hpp"
#include "sync/barrier_core.hpp"

#include <coproc/barrier.hpp>

#include <optional>
#include <stdexcept>
#include <vector>

using namespace coproc;
using namespace sync_test;

namespace {

task<> rounds(barrier b, int count, int parties, shared_value<int> arrived, shared_value<int> leaders, shared_value<int> wrong)
{
    for (int round = 0; round < count; ++round) {
        arrived.fetch_add(1);
        const bool last = co_await b.arrive_and_wait();
        leaders.fetch_add(last ? 1 : 0);
        const int now = arrived.load();
        wrong.fetch_add(now < parties * (round + 1) || now > parties * (round + 2) ? 1 : 0);
    }
}

task<> arrive(barrier b, std::optional<bool>& result) { result = co_await b.arrive_and_wait(); }

task<bool> is_broken_for(running& party)
{
    auto end = party.join();
    try {
        co_await std::move(end);
    } catch (const broken_barrier&) {
        co_return true;
    }
    co_return false;
}

task<> wait_at(barrier b)
{
    co_await b.arrive_and_wait();
    co_await wait_for_the_end();
}

} // namespace

TEST_CASE("nobody begins a round at a barrier before all have ended the last, and each round has one leader", "[BAR-001][BAR-008]")
{
    in_loop([]() -> task<> {
        barrier b{5};
        shared_value<int> arrived, leaders, wrong;
        std::vector<process> all;
        for (int i = 0; i < 4; ++i)
            all.push_back(co_await process::start(rounds, b, 1000, 5, arrived, leaders, wrong));
        co_await rounds(b, 1000, 5, arrived, leaders, wrong);
        for (auto& p : all) {
            const auto end = co_await p.join();
            CHECK(end.ok());
        }
        CHECK(arrived.load() == 5000);
        CHECK(leaders.load() == 1000);
        CHECK(wrong.load() == 0);
        CHECK_FALSE(b.broken());
    });
}

TEST_CASE("one party alone never waits at a barrier, and no parties are refused", "[BAR-007][BAR-009]")
{
    in_loop([]() -> task<> {
        barrier b{1};
        for (int i = 0; i < 5; ++i) {
            const bool last = co_await b.arrive_and_wait();
            CHECK(last);
        }
        CHECK_THROWS_AS(barrier{0}, usage_error);
        CHECK_THROWS_AS(barrier{1u << 24}, usage_error);
        CHECK(barrier{7}.parties() == 7);
    });
}

TEST_CASE("a barrier's action runs once for each round, before anybody is released", "[BAR-003]")
{
    in_loop([]() -> task<> {
        barrier b{3};
        int actions = 0, wrong = 0;
        auto party = [&](int) -> task<> {
            for (int round = 1; round <= 10; ++round) {
                co_await b.arrive_and_wait([&] { ++actions; });
                wrong += actions == round ? 0 : 1;
                co_await b.arrive_and_wait();
            }
        };
        std::vector<running> all;
        for (int i = 0; i < 3; ++i)
            all.push_back(co_await spawn(party(i)));
        for (auto& one : all)
            co_await one.join();
        CHECK(actions == 10);
        CHECK(wrong == 0);
    });
}

TEST_CASE("an action that throws breaks the barrier, and what it threw comes out")
{
    in_loop([]() -> task<> {
        barrier b{2};
        std::optional<bool> result;
        auto other = co_await spawn(arrive(b, result));
        bool thrown = false;
        try {
            co_await b.arrive_and_wait([] { throw std::domain_error{"no"}; });
        } catch (const std::domain_error&) {
            thrown = true;
        }
        CHECK(thrown);
        const bool broken = co_await is_broken_for(other);
        CHECK(broken);
        CHECK(b.broken());
    });
}

TEST_CASE("a barrier that is aborted is broken for who waits and for who comes, until it is reset", "[BAR-004]")
{
    in_loop([]() -> task<> {
        barrier b{3};
        std::optional<bool> result;
        auto first = co_await spawn(arrive(b, result));
        auto second = co_await spawn(arrive(b, result));
        CHECK(b.waiting() == 2);
        b.abort();
        for (auto* party : {&first, &second}) {
            const bool broken = co_await is_broken_for(*party);
            CHECK(broken);
        }
        auto third = co_await spawn(arrive(b, result));
        CHECK(third.done());
        const bool broken = co_await is_broken_for(third);
        CHECK(broken);
        CHECK(b.broken());
        b.reset();
        CHECK_FALSE(b.broken());
        CHECK(b.waiting() == 0);
        auto again = co_await spawn(arrive(b, result));
        auto with = co_await spawn(arrive(b, result));
        const bool last = co_await b.arrive_and_wait();
        CHECK(last);
        co_await again.join();
        co_await with.join();
        CHECK(result == false);
    });
}

TEST_CASE("a reset breaks the barrier for those that wait, not for who comes later")
{
    in_loop([]() -> task<> {
        barrier b{2};
        std::optional<bool> result;
        auto waits = co_await spawn(arrive(b, result));
        b.reset();
        auto later = co_await spawn(arrive(b, result));
        CHECK_FALSE(later.done());
        const bool broken = co_await is_broken_for(waits);
        CHECK(broken);
        const bool last = co_await b.arrive_and_wait();
        CHECK(last);
        co_await later.join();
    });
}

TEST_CASE("a party that runs out of time, or is cancelled, breaks the barrier for all", "[BAR-006]")
{
    const bool cancel = GENERATE(false, true);
    in_loop([=]() -> task<> {
        barrier b{3};
        std::optional<bool> result;
        auto waits = co_await spawn(arrive(b, result));
        if (cancel) {
            auto other = co_await spawn(arrive(b, result));
            other.cancel();
            const bool cancelled = co_await other.was_cancelled();
            CHECK(cancelled);
        } else {
            bool broken = false;
            try {
                co_await b.arrive_and_wait_for(10ms);
            } catch (const broken_barrier&) {
                broken = true;
            }
            CHECK(broken);
        }
        const bool broken = co_await is_broken_for(waits);
        CHECK(broken);
        CHECK(b.broken());
    });
}

TEST_CASE("a process that is killed while it waits at a barrier breaks it")
{
    in_loop([]() -> task<> {
        barrier b{3};
        auto p = co_await process::start(wait_at, b);
        std::optional<bool> result;
        auto waits = co_await spawn(arrive(b, result));
        while (b.waiting() < 2)
            co_await let_others_run();
        p.kill();
        const bool broken = co_await is_broken_for(waits);
        CHECK(broken);
        co_await p.join();
        CHECK(b.broken());
    });
}

TEST_CASE("a process that is killed after its round at a barrier has ended breaks nothing")
{
    in_loop([]() -> task<> {
        barrier b{2};
        auto p = co_await process::start(wait_at, b);
        co_await b.arrive_and_wait();
        std::optional<bool> result;
        auto waits = co_await spawn(arrive(b, result));
        co_await killed(p);
        co_await let_others_run();
        CHECK_FALSE(b.broken());
        const bool last = co_await b.arrive_and_wait();
        CHECK(last);
        co_await waits.join();
    });
}

TEST_CASE("a process for which a barrier has no place breaks it for those that wait there")
{
    auto place = detail::make_object(detail::object_kind::barrier, sizeof(detail::barrier_state), 0);
    auto& b = *reinterpret_cast<detail::barrier_state*>(place->at);
    auto& all = detail::registry::here();
    b.parties = 2;
    detail::barrier_round round;
    REQUIRE(detail::arrive(b, all, round) == detail::arrival::early);
    // A sleeper stands for another process in all places.
    const auto other = all.add_sleeper();
    for (auto& mark : b.marks)
        mark.store(std::uint64_t{other} << 32 | std::uint64_t{round.round} << 16 | 1);
    detail::barrier_round of_the_next;
    CHECK_THROWS_AS(detail::arrive(b, all, of_the_next), std::system_error);
    CHECK(detail::look(b, all, round) == detail::round_end::broken);
    all.remove(other);
}
