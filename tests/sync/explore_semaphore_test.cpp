// Every interleaving of a few processes that share permits.
#define detail explored_semaphore
#define os explored_semaphore_os
#include "sync/explorer.hpp"

#include "sync/semaphore_core.hpp"

#include "../../src/sync/ledger.cpp"
#include "../../src/sync/semaphore_core.cpp"

#include "sync/open_books.hpp"

#undef detail
#undef os

#include <catch2/catch.hpp>

using namespace coproc::explored_semaphore;
using explorer::budget;
using explorer::findings;

namespace {

struct semaphore_exploration : exploration<semaphore_state> {
    explicit semaphore_exploration(std::uint32_t permits) : first_permits{permits} {}

    std::uint32_t first_permits, total = 0; ///< total: that are there or held
    bool bounded = false, adding = false; ///< adding: somebody is about to, and may have done so
    std::size_t using_up = 0;             ///< so many are about to use a permit up
    std::array<std::uint32_t, world::most> inside{}; ///< permits of those who live
    std::function<bool()> sleep_is_right = [] { return false; };

    void entered(permit_account account)
    {
        if (all.ghosts())
            return;
        if (account == ledger::no_account)
            all.fail("there was no account for a permit");
        ++inside[all.running()];
        std::uint32_t sum = 0;
        for (auto n : inside)
            sum += n;
        if (sum > total)
            all.fail("more have permits than there are");
    }
    void leaves()
    {
        if (!all.ghosts())
            --inside[all.running()];
    }

protected:
    void begin() override
    {
        auto& s = state();
        s.header.kind = static_cast<std::uint32_t>(bounded ? object_kind::bounded_semaphore : object_kind::semaphore);
        s.most.put(first_permits);
        open_books::begin_with(s.permits, first_permits);
        total = first_permits;
        inside = {};
        adding = false;
        using_up = 0;
    }
    std::uint64_t hash_of_model() const override
    {
        std::uint64_t hash = (total * 16 + using_up) * 2 + adding;
        for (auto n : inside)
            hash = hash * 16 + n;
        return hash;
    }
    void died(std::size_t who) override { inside[who] = 0; }
    // Whatever happened last, and whoever died in the middle of it.
    void check() override
    {
        auto sum = open_books::value(state().permits) + open_books::of(state().permits, std::nullopt).shares;
        if (sum == total + 1 && std::exchange(adding, false))
            ++total;
        if (sum + 1 == total && using_up > 0) {
            --using_up;
            --total;
        }
        if (sum != total)
            all.fail("there are " + std::to_string(sum) + " permits instead of " + std::to_string(total));
    }
    bool may_hang() override { return sleep_is_right(); }
};

template <unsigned was_passed_over>
struct impatient : semaphore_wait {
    using semaphore_wait::semaphore_wait;
    bool try_now(member sleeper, unsigned tries) { return semaphore_wait::try_now(sleeper, tries + was_passed_over); }
};
/// Hungry the second time it is passed over, instead of the ninth; or at once.
using impatient_wait = impatient<7>;
using hungry_wait = impatient<8>;

/// Wrong.
struct keeps_its_turn : impatient_wait {
    using impatient_wait::impatient_wait;
    void pass_on(member) {}
};

template <class W = impatient_wait>
std::optional<permit_account> acquire(semaphore_exploration& e, virtual_party& party)
{
    auto& all = registry::here();
    auto taken = try_take_permit(e.state(), all, 0);
    if (!taken) {
        W wait{e.state(), all};
        if (!party.wait(wait))
            return std::nullopt;
        taken = wait.result();
    }
    e.entered(*taken);
    return taken;
}

void release(semaphore_exploration& e, permit_account account)
{
    e.leaves();
    give_permit_back(e.state(), registry::here(), registry::here().self(), account);
}

template <class W = impatient_wait>
std::function<void()> contender(semaphore_exploration& e, int rounds = 1, bool enters_late = false)
{
    return [&e, rounds, enters_late] {
        auto& party = e.party();
        if (enters_late)
            enters();
        for (int i = 0; i < rounds; ++i) {
            auto permit = acquire<W>(e, party);
            if (!permit)
                return;
            step("is inside");
            release(e, *permit);
        }
    };
}

/// Two permits at the same time, one after the other.
std::function<void()> glutton(semaphore_exploration& e)
{
    return [&e] {
        auto& party = e.party();
        auto first = acquire(e, party);
        if (!first)
            return;
        if (auto second = acquire(e, party))
            release(e, *second);
        release(e, *first);
    };
}

/// Never waits, and gives back what it has, wherever that is.
std::function<void()> visitor(semaphore_exploration& e, int rounds)
{
    return [&e, rounds] {
        static_cast<void>(e.party());
        for (int i = 0; i < rounds; ++i) {
            auto permit = try_take_permit_now(e.state());
            if (!permit)
                continue;
            e.entered(*permit);
            e.leaves();
            if (!give_any_permit_back(e.state(), registry::here()))
                e.all.fail("it has a permit and can't find it");
        }
    };
}

/// Adds permits, one at a time.
std::function<void()> maker(semaphore_exploration& e, int count)
{
    return [&e, count] {
        static_cast<void>(e.party());
        for (int i = 0; i < count; ++i) {
            e.adding = !e.all.ghosts();
            static_cast<void>(add_permits(e.state(), registry::here(), 1));
        }
    };
}

/// Uses a permit up.
std::function<void()> taker(semaphore_exploration& e)
{
    return [&e] {
        auto& party = e.party();
        if (auto permit = acquire(e, party)) {
            e.leaves();
            e.using_up += !e.all.ghosts();
            e.state().permits.post(*permit, registry::here().self(), posting::one_less, [](auto&, const auto&) { return true; });
        }
    };
}

template <class W = impatient_wait>
findings explore_two(budget b, std::uint32_t permits = 1)
{
    semaphore_exploration e{permits};
    e.all.bodies = {contender<W>(e, 2), contender<W>(e, 2)};
    return e.run(b);
}
template <class W = impatient_wait>
findings explore_three(budget b, std::uint32_t permits = 1, int rounds = 1)
{
    semaphore_exploration e{permits};
    e.all.bodies = {contender<W>(e, rounds), contender<W>(e), contender<W>(e)};
    return e.run(b);
}

} // namespace

TEST_CASE("two processes share a permit, however they are interleaved", "[sync][explore]")
{
    CHECK_NOTHING_FOUND(explore_two({.switches = 4}));
    CHECK_NOTHING_FOUND(explore_two<hungry_wait>({.switches = 3}));
}

TEST_CASE("one of two processes that share a permit may die at any step, and the permit comes back once", "[sync][explore]")
{
    CHECK_NOTHING_FOUND(explore_two({.switches = 2, .deaths = 1}));
    CHECK_NOTHING_FOUND(explore_two<hungry_wait>({.switches = 2, .deaths = 1}));
}

TEST_CASE("one of two processes that share a permit may be cancelled whenever it sleeps", "[sync][explore]")
{
    CHECK_NOTHING_FOUND(explore_two({.switches = 3, .cancellations = 1}));
    CHECK_NOTHING_FOUND(explore_two<hungry_wait>({.switches = 2, .cancellations = 1}));
}

TEST_CASE("three processes share one permit, or two, however they are interleaved", "[sync][explore]")
{
    CHECK_NOTHING_FOUND(explore_three({.switches = 2}, 1, 2));
    CHECK_NOTHING_FOUND(explore_three({.switches = 2}, 2, 2));
}

TEST_CASE("one of three processes that share permits may die at any step, and another one is cancelled", "[sync][explore]")
{
    CHECK_NOTHING_FOUND(explore_three({.switches = 1, .deaths = 1}));
    CHECK_NOTHING_FOUND(explore_three({.switches = 1, .deaths = 1}, 2));
    CHECK_NOTHING_FOUND(explore_three<hungry_wait>({.switches = 1, .deaths = 1, .cancellations = 1}));
    CHECK_NOTHING_FOUND(explore_three({.switches = 0, .deaths = 2}));
}

TEST_CASE("a process for which the next permit is kept may die or be cancelled", "[sync][explore]")
{
    semaphore_exploration e{1};
    e.all.bodies = {contender<semaphore_wait>(e), contender<hungry_wait>(e), contender<semaphore_wait>(e)};
    CHECK_NOTHING_FOUND(e.run({.switches = 1, .deaths = 1}));
    CHECK_NOTHING_FOUND(e.run({.switches = 2, .cancellations = 1}));
}

TEST_CASE("a process holds more permits than an entry of the ledger has room for, and may die with them", "[sync][explore]")
{
    semaphore_exploration e{3};
    e.all.bodies = {glutton(e), glutton(e)};
    CHECK_NOTHING_FOUND(e.run({.switches = 3}));
    CHECK_NOTHING_FOUND(e.run({.switches = 2, .deaths = 1}));
}

TEST_CASE("permits are taken and given back without waiting, and found wherever they are entered", "[sync][explore]")
{
    semaphore_exploration e{1};
    e.bounded = true;
    e.all.bodies = {visitor(e, 2), contender(e), visitor(e, 1)};
    CHECK_NOTHING_FOUND(e.run({.switches = 2}));
    CHECK_NOTHING_FOUND(e.run({.switches = 1, .deaths = 1}));
}

TEST_CASE("permits that somebody adds reach as many of those who wait, also if one of them dies or is cancelled", "[sync][explore]")
{
    semaphore_exploration e{0};
    e.sleep_is_right = [&] { return open_books::value(e.state().permits) == 0; }; // the one that was taken is used up
    e.all.bodies = {maker(e, 2), taker(e), taker(e)};
    CHECK_NOTHING_FOUND(e.run({.switches = 3}));
    CHECK_NOTHING_FOUND(e.run({.switches = 1, .deaths = 1}));
    CHECK_NOTHING_FOUND(e.run({.switches = 2, .cancellations = 1}));
}

TEST_CASE("a process that comes late and dies gives its permit back", "[sync][explore]")
{
    semaphore_exploration e{1};
    e.late = {0};
    e.all.bodies = {contender(e, 1, true), contender(e), contender(e)};
    CHECK_NOTHING_FOUND(e.run({.switches = 1, .deaths = 1}));
}

TEST_CASE("the explorer finds what is broken on purpose in a semaphore", "[sync][explore]")
{
    semaphore_exploration e{1};
    e.all.bodies = {contender(e, 2), contender(e), contender(e)};
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
        CHECK_THAT(finds({.switches = 1, .deaths = 1}), StartsWith("somebody sleeps for ever"));
    }
    SECTION("a sleeper that leaves and does not pass on that it was woken")
    {
        e.all.bodies[1] = contender<keeps_its_turn>(e);
        CHECK_THAT(finds({.switches = 2, .cancellations = 1}), StartsWith("somebody sleeps for ever"));
    }
    SECTION("a permit that is given back twice")
    {
        e.all.bodies[1] = [&] {
            auto& party = e.party();
            if (auto permit = acquire(e, party)) {
                static_cast<void>(add_permits(e.state(), registry::here(), 1));
                release(e, *permit);
            }
        };
        CHECK_THAT(finds({.switches = 1}), StartsWith("there are 2 permits instead of 1"));
    }
}
