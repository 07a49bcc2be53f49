// Every interleaving of a few processes that want one mutex.
#define detail explored_mutex
#define os explored_mutex_os
#include "sync/explorer.hpp"

#include "sync/mutex_core.hpp"

#include "../../src/sync/mutex_core.cpp"

#undef detail
#undef os

#include <catch2/catch.hpp>

using namespace coproc::explored_mutex;
using explorer::budget;
using explorer::findings;

namespace {

constexpr std::uint64_t handed_flag = 1ull << 33;

/// The mutex, and what must be true of it.
struct mutex_exploration : exploration<mutex_state> {
    std::optional<std::size_t> inside; ///< who has it and lives
    bool must_be_told = false;         ///< its owner died with it
    std::uint32_t first_turn = 0;      ///< which of the gate's places is looked at first

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

protected:
    void begin() override
    {
        state().waiting.turn.put(first_turn);
        inside.reset();
        must_be_told = false;
    }
    std::uint64_t hash_of_model() const override { return inside.value_or(9) << 1 | must_be_told; }
    void died(std::size_t who) override
    {
        auto word = state().word.peek();
        if (owner_of(word) == 1 + who && (word & handed_flag) == 0)
            must_be_told = true;
        if (inside == who)
            inside.reset();
    }
    void ended() override
    {
        if (auto owner = owner_of(state().word.peek()); owner != 0 && all.alive(owner - 1))
            all.fail("nobody has it any more, and nobody can");
    }

private:
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
std::function<void()> contender(mutex_exploration& e, int rounds = 1, bool enters_late = false)
{
    return [&e, rounds, enters_late] {
        auto& party = e.party();
        if (enters_late)
            enters();
        auto& all = registry::here();
        for (int i = 0; i < rounds; ++i) {
            auto how = try_take(e.state(), all, false);
            if (how == taken::no) {
                W wait{e.state(), all};
                if (!party.wait(wait))
                    return;
                how = wait.result();
            }
            e.entered(how);
            step("is inside");
            e.leaves();
            give_back(e.state(), all);
        }
    };
}

/// Two coroutines of one loop. A cancellation hits the one that came first.
void two_coroutines(mutex_exploration& e)
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
            c.wait.emplace(e.state(), all);
            c.s = blocked_thread::make_sleeper();
            c.turn.emplace(party, c.s, *c.wait);
            if (c.turn->look(c.tries++)) {
                auto how = c.wait->result();
                c.turn.reset();
                c.done = true;
                e.entered(how);
                step("is inside");
                e.leaves();
                give_back(e.state(), all);
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
    mutex_exploration e;
    e.all.bodies = {contender<W>(e, 2), contender<W>(e, 2)};
    return e.run(b);
}
template <class W = impatient_wait>
findings explore_three(budget b, int rounds = 2)
{
    mutex_exploration e;
    e.all.bodies = {contender<W>(e, rounds), contender<W>(e), contender<W>(e)};
    return e.run(b);
}

} // namespace

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
    mutex_exploration e;
    e.all.bodies = {contender(e, 3), [&e] { two_coroutines(e); }};
    CHECK_NOTHING_FOUND(e.run({.switches = 4, .cancellations = 1}));
}

TEST_CASE("a process that comes late may die at any step", "[sync][explore]")
{
    mutex_exploration e;
    e.first_turn = GENERATE(0u, 1u);
    e.late = {0};
    e.all.bodies = {contender(e, 1, true), contender(e), contender(e)};
    CHECK_NOTHING_FOUND(e.run({.switches = 2, .deaths = 1}));
}

TEST_CASE("the crowd of those that found no place is woken too", "[sync][explore]")
{
    mutex_exploration e;
    e.first_turn = GENERATE(0u, 1u);
    e.all.bodies = {contender(e), contender(e), contender(e), contender(e)};
    CHECK_NOTHING_FOUND(e.run({.switches = 2}));
    CHECK_NOTHING_FOUND(e.run({.switches = 0, .cancellations = 2}));
}

TEST_CASE("the explorer finds what is broken on purpose", "[sync][explore]")
{
    mutex_exploration e;
    e.all.bodies = {contender(e, 2), contender(e), contender(e)};
    const auto finds = [&](budget b) { return e.finds(b); };
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
