// Every interleaving of a few processes that meet at a barrier.
#define EXPLORED_PLACES_OF_PROCESSES 4
#define detail explored_barrier
#define os explored_barrier_os
#include "sync/explorer.hpp"

#include "sync/barrier_core.hpp"

#include "../../src/sync/barrier_core.cpp"

#undef detail
#undef os

#include <catch2/catch.hpp>

using namespace coproc::explored_barrier;
using explorer::budget;
using explorer::findings;

namespace {

enum class outcome { none, passed, led, broken, left };

struct barrier_exploration : exploration<barrier_state> {
    explicit barrier_exploration(std::uint32_t how_many) : parties{how_many} {}

    std::uint32_t parties;
    bool may_break = false;    ///< somebody does so on purpose
    bool one_is_there = false; ///< from the beginning, who isn't one of these processes
    std::uint32_t began = 0, passed = 0, led = 0;
    bool death = false, harm = false; ///< harm: a death that breaks it
    std::array<bool, world::most> there{}, comes_too_late{}; ///< who waits for the end of its round; and of another one's

    void ends(outcome how)
    {
        if (all.ghosts())
            return;
        there[all.running()] = false;
        if (how == outcome::broken) {
            if (!harm && !somebody_left() && !may_break)
                all.fail("it broke, and nobody who was there died or left");
            return;
        }
        led += how == outcome::led;
        if (++passed > began / parties * parties)
            all.fail("somebody passed before all were there");
        if (led > began / parties)
            all.fail("two of a round were the last");
    }
    bool somebody_left() const
    {
        for (std::size_t i = 0; i < all.bodies.size(); ++i)
            if (all.cancelled(i))
                return true;
        return false;
    }

protected:
    void begin() override
    {
        state().parties = parties;
        began = passed = one_is_there;
        led = 0;
        state().word.put(std::uint64_t{one_is_there} << 40);
        death = harm = false;
        there = comes_too_late = {};
    }
    std::uint64_t hash_of_model() const override
    {
        std::uint64_t hash = ((began * 16 + passed) * 16 + led) * 4 + (std::uint64_t{death} << 1 | std::uint64_t{harm});
        for (std::size_t i = 0; i < world::most; ++i)
            hash = hash << 2 | std::uint64_t{there[i]} << 1 | std::uint64_t{comes_too_late[i]};
        return hash;
    }
    // Of one that has marked itself in this round; whether it was counted, too, nobody can know.
    void died(std::size_t who) override
    {
        death = true;
        for (auto& place : state().marks)
            if (auto its = read_mark(place.peek()); its.owner == 1 + who && its.waiting > 0 && !comes_too_late[who])
                harm = harm || its.round == read(state().word.peek()).at.round;
    }
    // One that died or left before it arrived may be missing; one that had arrived may not.
    bool may_hang() override
    {
        std::size_t waiting = 0;
        for (std::size_t i = 0; i < all.bodies.size(); ++i) {
            if (all.sleeps(i) && !there[i])
                return false;
            waiting += all.sleeps(i);
        }
        return (death || somebody_left() || began % parties != 0) && state().word.peek() >> 40 == waiting;
    }
    void ended() override
    {
        if (!death && !somebody_left() && !may_break && (passed != began / parties * parties || led != began / parties))
            all.fail("not all that were there have passed");
    }
};

/// What barrier.cpp's arrive_at does.
outcome meet(barrier_exploration& e, virtual_party& party)
{
    auto& b = e.state();
    auto& all = registry::here();
    auto self = this_process();
    e.began += !e.all.ghosts();
    for (;;) {
        barrier_round round;
        auto how = arrive(b, all, round);
        e.there[self] = how == arrival::early;
        e.comes_too_late[self] = how == arrival::full;
        if (how == arrival::broken)
            return outcome::broken;
        barrier_wait wait{b, all, round, how != arrival::full};
        if (how == arrival::last)
            return end_round(b, all, round) ? outcome::led : outcome::broken;
        if (!party.wait(wait)) {
            e.there[self] = false;
            e.began -= look(b, all, round) != round_end::passed && !e.all.ghosts(); // nobody passes because of it
            return outcome::left;
        }
        if (wait.result() != round_end::passed)
            return outcome::broken;
        if (how == arrival::early)
            return outcome::passed;
        e.comes_too_late[self] = false;
    }
}

std::function<void()> visitor(barrier_exploration& e, int rounds = 1, bool enters_late = false)
{
    return [&e, rounds, enters_late] {
        auto& party = e.party();
        if (enters_late)
            enters();
        for (int i = 0; i < rounds; ++i) {
            auto how = meet(e, party);
            if (how == outcome::left)
                return;
            e.ends(how);
            if (how == outcome::broken)
                return;
        }
    };
}

} // namespace

TEST_CASE("two processes meet twice, however they are interleaved", "[sync][explore]")
{
    barrier_exploration e{2};
    e.all.bodies = {visitor(e, 2), visitor(e, 2)};
    CHECK_NOTHING_FOUND(e.run({.switches = 4}));
}

TEST_CASE("a barrier breaks when one of two that are there dies or is cancelled, and nobody waits for ever", "[sync][explore]")
{
    barrier_exploration e{2};
    e.all.bodies = {visitor(e), visitor(e)};
    CHECK_NOTHING_FOUND(e.run({.switches = 4, .deaths = 1}));
    CHECK_NOTHING_FOUND(e.run({.switches = 4, .cancellations = 1}));
    e.all.bodies = {visitor(e, 2), visitor(e, 2)};
    CHECK_NOTHING_FOUND(e.run({.switches = 2, .deaths = 1}));
    CHECK_NOTHING_FOUND(e.run({.switches = 2, .cancellations = 1}));
}

TEST_CASE("three processes meet, however they are interleaved, and one of them dies or is cancelled", "[sync][explore]")
{
    barrier_exploration e{3};
    e.all.bodies = {visitor(e), visitor(e), visitor(e)};
    CHECK_NOTHING_FOUND(e.run({.switches = 2}));
    CHECK_NOTHING_FOUND(e.run({.switches = 1, .deaths = 1}));
    CHECK_NOTHING_FOUND(e.run({.switches = 1, .cancellations = 1}));
}

TEST_CASE("of more processes than a barrier is for, each round takes those that come first", "[sync][explore]")
{
    barrier_exploration e{2};
    e.all.bodies = {visitor(e), visitor(e), visitor(e), visitor(e)};
    CHECK_NOTHING_FOUND(e.run({.switches = 1}));
    CHECK_NOTHING_FOUND(e.run({.switches = 0, .deaths = 1}));
    e.all.bodies.pop_back();
    CHECK_NOTHING_FOUND(e.run({.switches = 2}));
    CHECK_NOTHING_FOUND(e.run({.switches = 1, .deaths = 1}));
}

TEST_CASE("who comes too late for a round spoils nothing of the next one, also if somebody dies there", "[sync][explore]")
{
    barrier_exploration e{2};
    e.one_is_there = true;
    e.all.bodies = {visitor(e), visitor(e, 2)};
    CHECK_NOTHING_FOUND(e.run({.switches = 3, .deaths = 1}));
}

TEST_CASE("a barrier that is broken on purpose lets nobody wait for ever", "[sync][explore]")
{
    barrier_exploration e{2};
    e.may_break = true;
    e.all.bodies = {visitor(e), visitor(e), [&] { break_now(e.state(), registry::here()); }};
    CHECK_NOTHING_FOUND(e.run({.switches = 3}));
}

TEST_CASE("the explorer finds what is broken on purpose in a barrier", "[sync][explore]")
{
    barrier_exploration e{2};
    e.all.bodies = {visitor(e), visitor(e)};
    const auto finds = [&](budget b) { return e.finds(b); };
    using Catch::Matchers::StartsWith;
    SECTION("rings that are not heard")
    {
        e.deaf = true;
        CHECK_THAT(finds({.switches = 1}), StartsWith("somebody sleeps for ever"));
    }
    SECTION("deaths that nobody is told of")
    {
        e.deaths_untold = true;
        CHECK_THAT(finds({.switches = 2, .deaths = 1}), StartsWith("somebody sleeps for ever"));
    }
    SECTION("one that goes on without waiting")
    {
        e.all.bodies[0] = [&] {
            barrier_round round;
            ++e.began;
            static_cast<void>(arrive(e.state(), registry::here(), round));
            e.ends(outcome::passed);
        };
        CHECK_THAT(finds({.switches = 1}), StartsWith("somebody passed before all were there"));
    }
    SECTION("a round that ends twice")
    {
        e.all.bodies[0] = [&] {
            visitor(e)();
            e.ends(outcome::led);
        };
        CHECK_THAT(finds({.switches = 1}), StartsWith("somebody passed before all were there") || StartsWith("two of a round"));
    }
}
