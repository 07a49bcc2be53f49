// Every interleaving of a few processes that wait for an event, or for a latch.
#define detail explored_event
#define os explored_event_os
#include "sync/explorer.hpp"

#include "sync/event_core.hpp"
#include "sync/latch_core.hpp"

#undef detail
#undef os

#include <catch2/catch.hpp>

using namespace coproc::explored_event;
using explorer::budget;

namespace {

struct event_exploration : exploration<event_state> {
    std::array<bool, world::most> in_line{}; ///< they came before the event was first set

protected:
    void begin() override { in_line = {}; }
    std::uint64_t hash_of_model() const override
    {
        std::uint64_t hash = 0;
        for (auto one : in_line)
            hash = hash << 1 | std::uint64_t{one};
        return hash;
    }
    void died(std::size_t who) override { in_line[who] = false; }
    // Who comes when it has been cleared again.
    bool may_hang() override
    {
        for (std::size_t i = 0; i < all.bodies.size(); ++i)
            if (all.sleeps(i) && in_line[i] && state().word.peek() != 0)
                return false;
        return true;
    }
};

std::function<void()> waiter(event_exploration& e)
{
    return [&e] {
        auto& party = e.party();
        event_wait wait{e.state()};
        e.in_line[this_process()] = e.state().word.peek() == 0;
        static_cast<void>(wait.try_now(0, 0) || party.wait(wait));
    };
}

std::function<void()> setter(event_exploration& e, bool clears)
{
    return [&e, clears] {
        set(e.state(), registry::here());
        if (clears)
            clear(e.state());
    };
}

struct latch_exploration : exploration<latch_state> {
    bool counter_died = false;
    std::uint32_t count = 2;

protected:
    void begin() override
    {
        state().count.put(count);
        counter_died = false;
    }
    std::uint64_t hash_of_model() const override { return counter_died; }
    void died(std::size_t) override { counter_died = state().count.peek() > 0; }
    bool may_hang() override { return counter_died && state().count.peek() > 0; }
};

std::function<void()> party_of_latch(latch_exploration& e, std::uint32_t by)
{
    return [&e, by] {
        auto& party = e.party();
        if (!count_down(e.state(), registry::here(), by))
            e.all.fail("it was counted down below zero");
        latch_wait wait{e.state()};
        if ((wait.try_now(0, 0) || party.wait(wait)) && e.state().count.peek() != 0)
            e.all.fail("somebody passed before all had counted");
    };
}

} // namespace

TEST_CASE("whoever waits when an event is set wakes, though it is cleared at once, and whoever dies or is cancelled", "[sync][explore]")
{
    event_exploration e;
    e.all.bodies = {waiter(e), waiter(e), setter(e, GENERATE(false, true))};
    CHECK_NOTHING_FOUND(e.run({.switches = 3}));
    CHECK_NOTHING_FOUND(e.run({.switches = 1, .deaths = 1}));
    CHECK_NOTHING_FOUND(e.run({.switches = 2, .cancellations = 1}));
}

TEST_CASE("an event is set by two at the same time, and cleared by one of them", "[sync][explore]")
{
    event_exploration e;
    e.all.bodies = {waiter(e), setter(e, true), setter(e, false)};
    CHECK_NOTHING_FOUND(e.run({.switches = 4}));
}

TEST_CASE("all pass a latch when it is counted down, also if one of them dies after that", "[sync][explore]")
{
    latch_exploration e;
    e.count = 4;
    e.all.bodies = {party_of_latch(e, 1), party_of_latch(e, 2), party_of_latch(e, 1)};
    CHECK_NOTHING_FOUND(e.run({.switches = 2}));
    CHECK_NOTHING_FOUND(e.run({.switches = 1, .deaths = 1}));
    CHECK_NOTHING_FOUND(e.run({.switches = 1, .cancellations = 1}));
}

TEST_CASE("the explorer finds what is broken on purpose in an event or a latch", "[sync][explore]")
{
    using Catch::Matchers::StartsWith;
    SECTION("an event that rings nobody")
    {
        event_exploration e;
        e.all.bodies = {waiter(e), setter(e, true)};
        e.deaf = true;
        CHECK_THAT(e.finds({.switches = 1}), StartsWith("somebody sleeps for ever"));
    }
    SECTION("a latch that rings nobody")
    {
        latch_exploration e;
        e.all.bodies = {party_of_latch(e, 1), party_of_latch(e, 1)};
        e.deaf = true;
        CHECK_THAT(e.finds({.switches = 1}), StartsWith("somebody sleeps for ever"));
    }
    SECTION("one that sees no more than whether it is set now")
    {
        struct short_sighted : event_wait {
            event_state& s;
            explicit short_sighted(event_state& of) : event_wait{of}, s{of} {}
            bool try_now(member, unsigned) const { return s.word.load() % 2 != 0; }
        };
        event_exploration e;
        e.all.bodies = {[&] {
                            auto& party = e.party();
                            short_sighted wait{e.state()};
                            e.in_line[0] = e.state().word.peek() == 0;
                            static_cast<void>(party.wait(wait));
                        },
                        setter(e, true)};
        CHECK_THAT(e.finds({.switches = 1}), StartsWith("somebody sleeps for ever"));
    }
}
