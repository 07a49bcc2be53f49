// Every interleaving of a few processes that want one mutex.
#define detail explored_mutex
#define os explored_mutex_os
#include "sync/explorer.hpp"

#include "sync/mutex_core.hpp"

#include "../../src/sync/mutex_core.cpp"

#undef detail
#undef os
#include "support/slowness.hpp"

#include <catch2/catch.hpp>

using namespace coproc::explored_mutex;
using explorer::budget;
using explorer::findings;
using explorer::schedule;

namespace {

constexpr std::uint64_t handed_flag = 1ull << 33;

/// The mutex, and what must be true of it.
struct exploration {
    mutex_state mutex;
    std::optional<std::size_t> inside; ///< who has it and lives
    bool must_be_told = false;         ///< its owner died with it
    bool deaf = false, deaths_untold = false;
    std::vector<std::size_t> late; ///< not in the table from the beginning
    std::uint32_t first_turn = 0;  ///< which of the gate's places is looked at first
    std::array<std::unique_ptr<virtual_party>, world::most> parties; ///< as a loop's, they stay when their sleepers leave
    schedule all;

    virtual_party& party() { return *(parties[this_process()] = std::make_unique<virtual_party>()); }
    void entered(taken how)
    {
        if (all.ghosts())
            return;
        if (inside)
            all.fail("two have it");
        if (must_be_told != (how == taken::from_dead))
            all.fail(must_be_told ? "an owner's death was not told" : "the death of an owner was told that was none");
        must_be_told = false;
        inside = all.running();
    }
    void leaves()
    {
        if (!all.ghosts())
            inside.reset();
    }

    findings run(budget b)
    {
        if (support::slowness > 1) // a sanitizer is there for the memory, not for the protocol
            b.switches = std::min(b.switches, 2) - (b.deaths + b.cancellations > 0 && all.bodies.size() > 2);
        all.prepare = [this] {
            new (&mutex) mutex_state{};
            mutex.waiting.turn.put(first_turn);
            inside.reset();
            must_be_told = false;
            parties = {};
            here = {};
            here.deaf = deaf;
            here.deaths_untold = deaths_untold;
            for (std::size_t i = 0; i < all.bodies.size(); ++i)
                here.processes[i].there = std::ranges::find(late, i) == late.end();
        };
        all.shared_state = [this] {
            std::uint64_t hash = here.hash();
            auto add = [&](std::uint64_t n) { hash = schedule::mix(hash ^ n); };
            add(mutex.word.peek());
            add(mutex.hungry.peek());
            for (auto& place : mutex.waiting.waiting)
                add(place.peek());
            add(mutex.waiting.crowd.peek());
            add(mutex.waiting.turn.peek());
            add(inside.value_or(9));
            add(must_be_told);
            return hash;
        };
        all.on_death = [this](std::size_t who) {
            auto word = mutex.word.peek();
            if (owner_of(word) == 1 + who && (word & handed_flag) == 0)
                must_be_told = true;
            if (inside == who)
                inside.reset();
        };
        all.at_end = [this] {
            if (auto owner = owner_of(mutex.word.peek()); owner != 0 && all.alive(owner - 1))
                all.fail("nobody has it any more, and nobody can");
        };
        return all.explore(b);
    }
    static member owner_of(std::uint64_t word) { return static_cast<member>(word); }
};

/// Hungry the second time it is passed over, instead of the ninth; or at once.
template <unsigned was_passed_over>
struct impatient : mutex_wait {
    using mutex_wait::mutex_wait;
    bool try_now(member sleeper, unsigned tries) { return mutex_wait::try_now(sleeper, tries + was_passed_over); }
};
using impatient_wait = impatient<7>;
using hungry_wait = impatient<8>;
/// Wrong in one way each.
struct keeps_its_turn : impatient_wait {
    using impatient_wait::impatient_wait;
    void pass_on(member) {}
};
struct says_nothing : impatient_wait {
    mutex_state& mutex;
    taken got = taken::no;
    says_nothing(mutex_state& m, const registry& all) : impatient_wait{m, all}, mutex{m} {}
    bool try_now(member, unsigned)
    {
        got = try_take(mutex, registry::here(), false);
        return got != taken::no;
    }
    taken result() const { return got; }
};

template <class W = impatient_wait>
std::function<void()> contender(exploration& e, int rounds = 1, bool enters_late = false)
{
    return [&e, rounds, enters_late] {
        auto& party = e.party();
        if (enters_late)
            enters();
        auto& all = registry::here();
        for (int i = 0; i < rounds; ++i) {
            auto how = try_take(e.mutex, all, false);
            if (how == taken::no) {
                W wait{e.mutex, all};
                if (!party.wait(wait))
                    return;
                how = wait.result();
            }
            e.entered(how);
            step("is inside");
            e.leaves();
            give_back(e.mutex, all);
        }
    };
}

/// Two coroutines of one loop. A cancellation hits the one that came first.
void two_coroutines(exploration& e)
{
    auto& party = e.party();
    auto& all = registry::here();
    struct one {
        std::optional<impatient_wait> wait;
        std::shared_ptr<sleeper> s;
        std::optional<turn_in_line<impatient_wait>> turn;
        unsigned tries = 0;
        bool done = false;
    };
    std::array<one, 2> coroutines;
    bool cancelled = false;
    while (std::ranges::any_of(coroutines, [](one& c) { return !c.done; })) {
        for (auto& c : coroutines) {
            if (c.done || (c.s && !c.s->rung()))
                continue;
            if (c.turn)
                c.turn->comes_back();
            c.turn.reset();
            c.wait.emplace(e.mutex, all);
            c.s = blocked_thread::make_sleeper();
            c.turn.emplace(party, c.s, *c.wait);
            if (c.turn->look(c.tries++)) {
                auto how = c.wait->result();
                c.turn.reset();
                c.done = true;
                e.entered(how);
                step("is inside");
                e.leaves();
                give_back(e.mutex, all);
            }
        }
        bool somebody_can = std::ranges::any_of(coroutines, [](one& c) { return !c.done && c.s->rung(); });
        bool somebody_waits = std::ranges::any_of(coroutines, [](one& c) { return !c.done; });
        if (somebody_waits && !somebody_can && !party.sleep()) {
            if (std::exchange(cancelled, true) || coroutines[0].done)
                return;
            coroutines[0].turn.reset();
            coroutines[0].done = true;
            explorer::schedule::now().forget_cancellation();
        }
    }
}

template <class W = impatient_wait>
findings explore_two(budget b)
{
    exploration e;
    e.all.bodies = {contender<W>(e, 2), contender<W>(e, 2)};
    return e.run(b);
}
template <class W = impatient_wait>
findings explore_three(budget b, int rounds = 2)
{
    exploration e;
    e.all.bodies = {contender<W>(e, rounds), contender<W>(e), contender<W>(e)};
    return e.run(b);
}

} // namespace

#define CHECK_NOTHING_FOUND(...)                                                                                             \
    do {                                                                                                                     \
        const findings found = __VA_ARGS__;                                                                                  \
        INFO(found.schedules << " schedules, " << found.states << " states");                                                \
        if (std::getenv("COPROC_TELL"))                                                                                      \
            WARN(found.schedules << " schedules, " << found.states << " states");                                            \
        CHECK(found.failure == "");                                                                                          \
    } while (false)

TEST_CASE("two processes share a mutex, however they are interleaved", "[sync][explore]")
{
    CHECK_NOTHING_FOUND(explore_two({.switches = 6}));
}

TEST_CASE("one of two processes may die at any step", "[sync][explore][LCK-004]")
{
    CHECK_NOTHING_FOUND(explore_two({.switches = 4, .deaths = 1}));
    CHECK_NOTHING_FOUND(explore_two<hungry_wait>({.switches = 4, .deaths = 1}));
}

TEST_CASE("one of two processes may be cancelled whenever it sleeps", "[sync][explore]")
{
    CHECK_NOTHING_FOUND(explore_two({.switches = 4, .cancellations = 1}));
    CHECK_NOTHING_FOUND(explore_two<hungry_wait>({.switches = 4, .cancellations = 1}));
}

TEST_CASE("three processes share a mutex, however they are interleaved", "[sync][explore]")
{
    CHECK_NOTHING_FOUND(explore_three({.switches = 3}));
}

TEST_CASE("one of three processes may die at any step", "[sync][explore]")
{
    CHECK_NOTHING_FOUND(explore_three({.switches = 2, .deaths = 1}, 1));
}

TEST_CASE("one of three processes may be cancelled, and another one dies", "[sync][explore]")
{
    CHECK_NOTHING_FOUND(explore_three({.switches = 1, .deaths = 1, .cancellations = 1}));
    CHECK_NOTHING_FOUND(explore_three<hungry_wait>({.switches = 1, .deaths = 1, .cancellations = 1}, 1));
}

TEST_CASE("two of three processes may be cancelled", "[sync][explore]")
{
    CHECK_NOTHING_FOUND(explore_three({.switches = 2, .cancellations = 2}));
}

TEST_CASE("two coroutines of one loop wait while another process comes and goes, and one is cancelled", "[sync][explore]")
{
    exploration e;
    e.all.bodies = {contender(e, 3), [&e] { two_coroutines(e); }};
    CHECK_NOTHING_FOUND(e.run({.switches = 4, .cancellations = 1}));
}

TEST_CASE("a process that comes late may die at any step", "[sync][explore]")
{
    exploration e;
    e.first_turn = GENERATE(0u, 1u);
    e.late = {0};
    e.all.bodies = {contender(e, 1, true), contender(e), contender(e)};
    CHECK_NOTHING_FOUND(e.run({.switches = 2, .deaths = 1}));
}

TEST_CASE("the crowd of those that found no place is woken too", "[sync][explore]")
{
    exploration e;
    e.first_turn = GENERATE(0u, 1u);
    e.all.bodies = {contender(e), contender(e), contender(e), contender(e)};
    CHECK_NOTHING_FOUND(e.run({.switches = 2}));
    CHECK_NOTHING_FOUND(e.run({.switches = 0, .cancellations = 2}));
}

TEST_CASE("the explorer finds what is broken on purpose", "[sync][explore]")
{
    exploration e;
    e.all.bodies = {contender(e, 2), contender(e), contender(e)};
    const auto finds = [&](budget b) { return e.run(b).failure; };
    using Catch::Matchers::StartsWith;
    SECTION("rings that are not heard")
    {
        e.deaf = true;
        CHECK_THAT(finds({.switches = 2}), StartsWith("somebody sleeps for ever"));
    }
    SECTION("deaths that nobody is told of")
    {
        e.deaths_untold = true;
        CHECK_THAT(finds({.switches = 2, .deaths = 1}), StartsWith("somebody sleeps for ever"));
    }
    SECTION("a sleeper that leaves and does not pass on that it was woken")
    {
        e.all.bodies[1] = contender<keeps_its_turn>(e);
        CHECK_THAT(finds({.switches = 2, .cancellations = 1}), StartsWith("somebody sleeps for ever") || StartsWith("nobody has it any more"));
    }
    SECTION("a sleeper that does not mark the mutex")
    {
        e.all.bodies[1] = contender<says_nothing>(e);
        CHECK_THAT(finds({.switches = 2}), StartsWith("somebody sleeps for ever"));
    }
    SECTION("one that takes what it was not given")
    {
        e.all.bodies[1] = [&] {
            e.entered(taken::yes);
            step("is inside");
            e.leaves();
        };
        CHECK_THAT(finds({.switches = 1}), StartsWith("two have it"));
    }
}
