// Every interleaving of a few processes that read and write under one shared mutex.
#define detail explored_shared_mutex
#define os explored_shared_mutex_os
#include "sync/explorer.hpp"

#include "sync/shared_mutex_core.hpp"

#include "../../src/sync/ledger.cpp"
#include "../../src/sync/shared_mutex_core.cpp"

#include "sync/open_books.hpp"

#undef detail
#undef os

#include <catch2/catch.hpp>

using namespace coproc::explored_shared_mutex;
using explorer::budget;
using explorer::findings;

namespace {

using way = coproc::explored_shared_mutex::access; // unistd.h has one too
constexpr auto reads = way::shared, writes = way::exclusive;
constexpr std::uint32_t written_flag = 1u << 30, damaged_flag = 1u << 31;

struct shared_mutex_exploration : exploration<shared_mutex_state> {
    std::array<bool, world::most> reading{}, writing{}; ///< those who live
    bool must_be_told = false;                          ///< a writer died with it

    void entered(way how, const access_taken& taken)
    {
        if (all.ghosts())
            return;
        (how == reads ? reading : writing)[all.running()] = true;
        auto writers = std::ranges::count(writing, true), readers = std::ranges::count(reading, true);
        if (writers > 1)
            all.fail("two write");
        if (writers > 0 && readers > 0)
            all.fail("somebody reads while another one writes");
        if (must_be_told != taken.owner_died)
            all.fail(must_be_told ? "a writer's death was not told" : "the death of a writer was told that was none");
        must_be_told = must_be_told && how == reads;
    }
    void leaves()
    {
        if (!all.ghosts())
            reading[all.running()] = writing[all.running()] = false;
    }

protected:
    void begin() override
    {
        reading = writing = {};
        must_be_told = false;
    }
    std::uint64_t hash_of_model() const override
    {
        std::uint64_t hash = must_be_told;
        for (std::size_t i = 0; i < world::most; ++i)
            hash = hash << 2 | std::uint64_t{reading[i]} << 1 | std::uint64_t{writing[i]};
        return hash;
    }
    void died(std::size_t who) override
    {
        reading[who] = writing[who] = false;
        must_be_told = must_be_told || open_books::of(state().holders, static_cast<member>(1 + who)).whole;
    }
    void check() override
    {
        auto value = open_books::value(state().holders);
        auto held = open_books::of(state().holders, std::nullopt);
        if ((value & ~(written_flag | damaged_flag)) != held.shares)
            all.fail("its readers are not those that are entered");
        if (((value & written_flag) != 0) != held.whole)
            all.fail("its writer is not the one that is entered");
    }
};

template <unsigned was_passed_over>
struct impatient : shared_mutex_wait {
    using shared_mutex_wait::shared_mutex_wait;
    bool try_now(member sleeper, unsigned tries) { return shared_mutex_wait::try_now(sleeper, tries + was_passed_over); }
};
/// Passed over too often the second time, instead of the ninth; or at once.
using impatient_wait = impatient<7>;
using hungry_wait = impatient<8>;
/// Wrong.
struct keeps_its_turn : impatient_wait {
    using impatient_wait::impatient_wait;
    void pass_on(member) {}
};

template <class W = impatient_wait>
std::function<void()> user(shared_mutex_exploration& e, std::vector<way> rounds, bool enters_late = false)
{
    return [&e, rounds, enters_late] {
        auto& party = e.party();
        if (enters_late)
            enters();
        auto& all = registry::here();
        for (auto how : rounds) {
            auto taken = try_take(e.state(), all, how, 0);
            if (!taken.yes) {
                W wait{e.state(), all, how};
                if (!party.wait(wait))
                    return;
                taken = wait.result();
            }
            e.entered(how, taken);
            step("is inside");
            e.leaves();
            if (!give_back(e.state(), all, how, all.self(), taken.account) && !e.all.ghosts())
                e.all.fail("it has it, and can't give it back");
        }
    };
}

/// Never waits, and gives back what it has, wherever that is.
std::function<void()> visitor(shared_mutex_exploration& e, std::vector<way> rounds)
{
    return [&e, rounds] {
        static_cast<void>(e.party());
        for (auto how : rounds) {
            auto taken = try_take_now(e.state(), how);
            if (!taken.yes)
                continue;
            e.entered(how, taken);
            e.leaves();
            if (!give_any_back(e.state(), registry::here(), how))
                e.all.fail("it has it, and can't find it");
        }
    };
}

template <class W = impatient_wait>
findings explore(budget b, std::initializer_list<std::vector<way>> processes)
{
    shared_mutex_exploration e;
    for (auto& rounds : processes)
        e.all.bodies.push_back(user<W>(e, rounds));
    return e.run(b);
}

} // namespace

TEST_CASE("two processes read and write, however they are interleaved", "[sync][explore]")
{
    CHECK_NOTHING_FOUND(explore({.switches = 3}, {{reads, writes}, {writes, reads}}));
    CHECK_NOTHING_FOUND(explore({.switches = 3}, {{writes, writes}, {writes, reads}}));
    CHECK_NOTHING_FOUND(explore<hungry_wait>({.switches = 3}, {{reads, writes}, {writes, reads}}));
}

TEST_CASE("one of two processes that read and write may die at any step", "[sync][explore]")
{
    CHECK_NOTHING_FOUND(explore({.switches = 2, .deaths = 1}, {{reads, writes}, {writes, reads}}));
    CHECK_NOTHING_FOUND(explore<hungry_wait>({.switches = 2, .deaths = 1}, {{writes, reads}, {writes, reads}}));
}

TEST_CASE("one of two processes that read and write may be cancelled whenever it sleeps", "[sync][explore]")
{
    CHECK_NOTHING_FOUND(explore({.switches = 3, .cancellations = 1}, {{reads, writes}, {writes, reads}}));
    CHECK_NOTHING_FOUND(explore<hungry_wait>({.switches = 3, .cancellations = 1}, {{reads, writes}, {reads, writes}}));
}

TEST_CASE("readers and writers of three processes share, however they are interleaved", "[sync][explore]")
{
    CHECK_NOTHING_FOUND(explore({.switches = 2}, {{writes}, {reads, reads}, {reads}}));
    CHECK_NOTHING_FOUND(explore({.switches = 2}, {{writes, reads}, {writes}, {reads}}));
    CHECK_NOTHING_FOUND(explore<hungry_wait>({.switches = 2}, {{writes}, {writes}, {reads}}));
}

TEST_CASE("one of three processes that read and write may die at any step", "[sync][explore]")
{
    CHECK_NOTHING_FOUND(explore({.switches = 1, .deaths = 1}, {{writes}, {reads}, {reads}}));
    CHECK_NOTHING_FOUND(explore({.switches = 1, .deaths = 1}, {{writes}, {writes}, {reads}}));
    CHECK_NOTHING_FOUND(explore<hungry_wait>({.switches = 1, .deaths = 1}, {{writes}, {reads}, {writes}}));
}

TEST_CASE("one of three processes that read and write may be cancelled, and another one dies", "[sync][explore]")
{
    CHECK_NOTHING_FOUND(explore({.switches = 1, .deaths = 1, .cancellations = 1}, {{writes}, {writes}, {reads}}));
    CHECK_NOTHING_FOUND(explore<hungry_wait>({.switches = 1, .deaths = 1, .cancellations = 1}, {{writes}, {reads}, {reads}}));
    CHECK_NOTHING_FOUND(explore({.switches = 2, .cancellations = 2}, {{writes}, {reads}, {writes}}));
}

TEST_CASE("a shared mutex is taken and given back without waiting, wherever it is entered", "[sync][explore]")
{
    shared_mutex_exploration e;
    e.all.bodies = {visitor(e, {reads, writes}), user(e, {writes, reads}), visitor(e, {writes})};
    CHECK_NOTHING_FOUND(e.run({.switches = 2}));
    CHECK_NOTHING_FOUND(e.run({.switches = 1, .deaths = 1}));
}

TEST_CASE("a process that comes late may die reading or writing", "[sync][explore]")
{
    shared_mutex_exploration e;
    e.late = {0};
    e.all.bodies = {user(e, {GENERATE(reads, writes)}, true), user(e, {writes}), user(e, {reads})};
    CHECK_NOTHING_FOUND(e.run({.switches = 1, .deaths = 1}));
}

TEST_CASE("the explorer finds what is broken on purpose in a shared mutex", "[sync][explore]")
{
    shared_mutex_exploration e;
    e.all.bodies = {user(e, {writes, reads}), user(e, {writes}), user(e, {reads})};
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
        e.all.bodies[1] = user<keeps_its_turn>(e, {writes});
        CHECK_THAT(finds({.switches = 2, .cancellations = 1}), StartsWith("somebody sleeps for ever"));
    }
    SECTION("one that writes as a reader")
    {
        e.all.bodies[1] = [&] {
            auto taken = try_take(e.state(), registry::here(), reads, 0);
            if (taken.yes) {
                e.entered(writes, taken);
                e.leaves();
                static_cast<void>(give_back(e.state(), registry::here(), reads, registry::here().self(), taken.account));
            }
        };
        CHECK_THAT(finds({.switches = 1}), StartsWith("somebody reads while another one writes"));
    }
}
