// Every interleaving of a few processes that enter the table, leave it, and bury one another.
#define detail explored_member_table
#define os explored_member_table_os
#include "sync/explorer.hpp"

#include "../../src/sync/member_table.cpp"

namespace coproc::detail {

struct open_table {
    static bool is_free(const member_table& t, std::size_t place) { return kind(t, place) == 0; }
    /// Nobody dead has it for ever: a process is buried when somebody looks, and its sleepers with it.
    static bool has_an_owner(const member_table& t, std::size_t place)
    {
        auto word = t.places_[place].word.peek();
        if (kind(t, place) == 2)
            return member_table::process_in(0, word).pid != 0;
        auto owner = static_cast<member>(member_table::rest_of(word));
        return kind(t, place) == 3 && member_table::is(t.at(owner).word.peek(), owner) && kind(t, owner % (1u << 13)) == 2;
    }

private:
    static std::uint64_t kind(const member_table& t, std::size_t place) { return t.places_[place].word.peek() & 3; }
};

} // namespace coproc::detail

#undef detail
#undef os

#include <catch2/catch.hpp>

using namespace coproc::explored_member_table;
using explorer::budget;
using explorer::findings;

namespace {

/// The table takes the place of the one that stands in for it, which nobody asks here.
struct table_exploration : exploration<member_table> {
    std::size_t most_members = 0;
    std::array<std::array<member, 2>, world::most> members{}; ///< of those who live: the process and its sleeper

    void has(std::size_t which, member who)
    {
        if (all.ghosts())
            return;
        if (who == 0)
            all.fail("there was a place, and it was not found");
        for (auto& others : members)
            for (auto other : others)
                if (other != 0 && other % (1u << 13) == who % (1u << 13))
                    all.fail("two have one place");
        members[all.running()][which] = who;
    }
    void loses(std::size_t which)
    {
        if (!all.ghosts())
            members[all.running()][which] = 0;
    }
    void is_there(member who, bool yes)
    {
        if (state().is_there(who) != yes && !all.ghosts())
            all.fail(yes ? "somebody is there and is not found" : "somebody has left and is found");
    }

protected:
    void begin() override { members = {}; }
    std::uint64_t hash_of_model() const override
    {
        std::uint64_t hash = 0;
        for (auto& both : members)
            for (auto who : both)
                hash = explorer::schedule::mix(hash ^ who);
        return hash;
    }
    void died(std::size_t who) override { members[who] = {}; }
    void ended() override
    {
        for (std::size_t place = 1; place < member_places; ++place)
            if (!open_table::is_free(state(), place) && !open_table::has_an_owner(state(), place))
                all.fail("place " + std::to_string(place) + " is nobody's and not free");
    }
};

void bury_the_dead(table_exploration& e)
{
    auto& table = e.state();
    table.for_each_process([&](const member_table::process_entry& p) {
        step("asks the kernel");
        if (seen(here.has_died(static_cast<std::size_t>(p.pid - 1))))
            table.bury(p.who);
    });
}

/// Enters, with a sleeper that leaves and comes back.
std::function<void()> process(table_exploration& e, int sleepers = 1, bool buries = false)
{
    return [&e, sleepers, buries] {
        auto& table = e.state();
        auto pid = static_cast<pid_t>(1 + this_process());
        auto me = table.enter_process(pid, start_mark(1000));
        e.has(0, me);
        table.version.fetch_add(1);
        for (int i = 0; i < sleepers; ++i) {
            auto sleeper = table.enter_sleeper(me);
            e.has(1, sleeper);
            if (table.process_of(sleeper) != me && !e.all.ghosts())
                e.all.fail("a sleeper is of another process");
            if (buries)
                bury_the_dead(e);
            e.is_there(sleeper, true);
            e.loses(1);
            table.remove(sleeper);
            e.is_there(sleeper, false);
            table.remove(sleeper); // it is another one's place by now, perhaps
        }
        auto found = table.process_at(me);
        if ((found.who != me || found.pid != pid || found.start_mark != start_mark(1000)) && !e.all.ghosts())
            e.all.fail("a process is not what it says it is");
    };
}

} // namespace

TEST_CASE("processes and sleepers that enter at the same time have a place each", "[sync][explore]")
{
    table_exploration e;
    e.all.bodies = {process(e, 2), process(e, 2)};
    CHECK_NOTHING_FOUND(e.run({.switches = 4}));
    e.all.bodies = {process(e), process(e), process(e)};
    CHECK_NOTHING_FOUND(e.run({.switches = 2}));
}

TEST_CASE("a process that dies at any step, also while it enters, leaves no place behind that can't be freed", "[sync][explore]")
{
    table_exploration e;
    e.all.bodies = {process(e), process(e, 2, true)};
    CHECK_NOTHING_FOUND(e.run({.switches = 2, .deaths = 1}));
    e.all.bodies = {process(e), process(e, 1, true), process(e, 1, true)};
    CHECK_NOTHING_FOUND(e.run({.switches = 1, .deaths = 1}));
    CHECK_NOTHING_FOUND(e.run({.switches = 0, .deaths = 2}));
}

TEST_CASE("the explorer finds what is broken on purpose in the table", "[sync][explore]")
{
    table_exploration e;
    using Catch::Matchers::StartsWith;
    SECTION("a burial that leaves the sleepers behind")
    {
        e.all.bodies = {process(e), [&] {
                            e.state().for_each_process([&](const member_table::process_entry& p) {
                                if (seen(here.has_died(static_cast<std::size_t>(p.pid - 1))))
                                    e.state().remove(p.who);
                            });
                        }};
        CHECK_THAT(e.finds({.switches = 1, .deaths = 1}), StartsWith("place 2 is nobody's and not free"));
    }
    SECTION("one that removes whoever has a place")
    {
        e.all.bodies = {process(e), [&] { e.state().remove((1u << 13) | 1); }};
        CHECK_THAT(e.finds({.switches = 1}), StartsWith("a process is not what it says it is") || StartsWith("somebody"));
    }
}
