// Every interleaving of a few processes that wait for a condition and notify one another.
#include <coproc/mutex.hpp>

#define detail explored_condition
#define os explored_condition_os
#include "sync/explorer.hpp"

#include "sync/mutex_core.hpp"

namespace coproc::detail {

/// As the one that users have, without what keeps the memory.
struct mutex_guard {
    mutex_state* state = nullptr;
    void release() noexcept { give_back(*std::exchange(state, nullptr), registry::here()); }
};

} // namespace coproc::detail

#include "sync/condition_core.hpp"

#include "../../src/sync/condition_core.cpp"
#include "../../src/sync/mutex_core.cpp"

#undef detail
#undef os

#include <catch2/catch.hpp>

using namespace coproc::explored_condition;
using explorer::budget;
using explorer::findings;

namespace {

constexpr std::uint32_t everybody = 100;

struct condition_exploration : exploration<condition_state> {
    bool all_may_go = false; ///< what they wait for stays, for all; else each takes one away
    std::function<std::uint32_t(condition_exploration&, std::uint32_t)> notifies = [](auto& e, std::uint32_t count) {
        return notify(e.state(), registry::here(), count);
    };

    int things = 0;             ///< under the mutex
    std::uint32_t announced = 0; ///< notifications that were begun
    std::uint32_t woken = 0, deaths = 0;
    bool died_with_one = false; ///< somebody was notified and died before it did anything, or had not notified others yet
    std::array<bool, world::most> in_line{}, owes{};

    void wakes_up()
    {
        if (all.ghosts())
            return;
        owes[all.running()] = true;
        if (++woken > announced + deaths)
            all.fail("more were notified than somebody said");
    }

protected:
    void begin() override
    {
        things = 0;
        announced = woken = deaths = 0;
        died_with_one = false;
        in_line = owes = {};
    }
    std::uint64_t hash_of_model() const override
    {
        std::uint64_t hash = (((static_cast<std::uint64_t>(things) * 16 + announced) * 16 + woken) * 16 + deaths) * 2 + died_with_one;
        for (std::size_t i = 0; i < world::most; ++i)
            hash = hash << 2 | std::uint64_t{in_line[i]} << 1 | std::uint64_t{owes[i]};
        return hash;
    }
    void died(std::size_t who) override
    {
        ++deaths;
        in_line[who] = false;
        died_with_one = died_with_one || std::exchange(owes[who], false);
    }
    void ended() override
    {
        for (auto& place : state().waiters)
            if (auto its = read(place.peek()); its.owner != 0 && all.alive(its.owner - 1) && its.notified > its.waiting)
                all.fail("a notification was kept for who comes later");
    }
    // Those that wait for what is there, or for the mutex, don't do so rightly.
    bool may_hang() override
    {
        for (std::size_t i = 0; i < all.bodies.size(); ++i)
            if (all.sleeps(i) && (!in_line[i] || (things > 0 && !died_with_one)))
                return false;
        return true;
    }
};

bool lock(condition_exploration& e, virtual_party& party, mutex_guard& held)
{
    if (try_take(e.state().mutex, registry::here(), false) == taken::no)
        if (mutex_wait wait{e.state().mutex, registry::here()}; !party.wait(wait))
            return false;
    held.state = &e.state().mutex;
    return true;
}

/// Waits until there is something; takes it, if it isn't for all.
std::function<void()> waiter(condition_exploration& e, bool enters_late = false)
{
    return [&e, enters_late] {
        auto self = this_process();
        auto& party = e.party();
        if (enters_late)
            enters();
        mutex_guard held;
        if (!lock(e, party, held))
            return;
        while (seen(e.things) == 0) {
            condition_wait wait{e.state(), registry::here(), held};
            e.in_line[self] = !e.all.ghosts();
            bool notified = party.wait(wait);
            e.in_line[self] = false;
            if (!notified || !lock(e, party, held))
                return;
            if (wait.claim())
                e.wakes_up();
            else if (!e.all.ghosts())
                e.all.fail("what it was told is not there any more");
        }
        if (!e.all_may_go)
            --e.things;
        e.owes[self] = false;
        held.release();
    };
}

std::function<void()> maker(condition_exploration& e, int things, std::uint32_t tells, bool under_the_lock = false)
{
    return [&e, things, tells, under_the_lock] {
        auto self = this_process();
        auto& party = e.party();
        for (int i = 0; i < things; ++i) {
            mutex_guard held;
            if (!lock(e, party, held))
                return;
            ++e.things;
            e.owes[self] = true;
            if (!under_the_lock)
                held.release();
            e.announced += tells;
            e.notifies(e, tells);
            e.owes[self] = false;
            if (under_the_lock)
                held.release();
        }
    };
}

} // namespace

TEST_CASE("a process waits for what another one makes, however they are interleaved", "[sync][explore]")
{
    condition_exploration e;
    e.all.bodies = {waiter(e), maker(e, 1, 1, GENERATE(false, true))};
    CHECK_NOTHING_FOUND(e.run({.switches = 8}));
    CHECK_NOTHING_FOUND(e.run({.switches = 5, .deaths = 1}));
    CHECK_NOTHING_FOUND(e.run({.switches = 5, .cancellations = 1}));
}

TEST_CASE("each of two that wait gets what was made, however they are interleaved", "[sync][explore]")
{
    condition_exploration e;
    e.all.bodies = {waiter(e), waiter(e), maker(e, 2, 1)};
    CHECK_NOTHING_FOUND(e.run({.switches = 3}));
}

TEST_CASE("a notification is not lost when one of two that wait dies or is cancelled", "[sync][explore]")
{
    condition_exploration e;
    e.all.bodies = {waiter(e), waiter(e), maker(e, 1, 1)};
    CHECK_NOTHING_FOUND(e.run({.switches = 1, .deaths = 1}));
    CHECK_NOTHING_FOUND(e.run({.switches = 2, .cancellations = 1}));
    CHECK_NOTHING_FOUND(e.run({.switches = 0, .deaths = 1, .cancellations = 1}));
}

TEST_CASE("everybody who waits is notified at once, also if one of them dies or is cancelled", "[sync][explore]")
{
    condition_exploration e;
    e.all_may_go = true;
    e.all.bodies = {waiter(e), waiter(e), maker(e, 1, everybody)};
    CHECK_NOTHING_FOUND(e.run({.switches = 2}));
    CHECK_NOTHING_FOUND(e.run({.switches = 1, .deaths = 1}));
    CHECK_NOTHING_FOUND(e.run({.switches = 1, .cancellations = 1}));
}

TEST_CASE("the explorer finds what is broken on purpose in a condition", "[sync][explore]")
{
    condition_exploration e;
    e.all.bodies = {waiter(e), waiter(e), maker(e, 1, 1)};
    const auto finds = [&](budget b) { return e.finds(b); };
    using Catch::Matchers::StartsWith;
    SECTION("rings that are not heard")
    {
        e.deaf = true;
        CHECK_THAT(finds({.switches = 1}), StartsWith("somebody sleeps for ever"));
    }
    SECTION("nobody is notified")
    {
        e.notifies = [](auto&, std::uint32_t) { return 0u; };
        CHECK_THAT(finds({.switches = 1}), StartsWith("somebody sleeps for ever"));
    }
    SECTION("two are notified instead of one")
    {
        e.notifies = [](auto& those, std::uint32_t count) { return notify(those.state(), registry::here(), count + 1); };
        CHECK_THAT(finds({.switches = 1}), StartsWith("more were notified than somebody said"));
    }
    SECTION("deaths that nobody is told of")
    {
        e.deaths_untold = true;
        CHECK_THAT(finds({.switches = 1, .deaths = 1}), StartsWith("somebody sleeps for ever"));
    }
}
