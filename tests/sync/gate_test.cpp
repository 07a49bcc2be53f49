// Leaving word, and being woken. What happens in between is explored in explore_mutex_test.cpp.
#include "sync/gate.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <vector>

#include <poll.h>

using namespace coproc::detail;

namespace {

/// Sleepers with doorbells.
struct sleepers {
    registry& all = registry::here();
    std::vector<member> who;
    std::map<member, std::unique_ptr<coproc::os::doorbell>> bells;

    explicit sleepers(int count)
    {
        for (int i = 0; i < count; ++i) {
            who.push_back(all.add_sleeper());
            bells[who.back()] = all.make_doorbell(who.back());
            all.set_sleeping(who.back(), true);
        }
    }
    ~sleepers()
    {
        for (member one : who)
            all.remove(one);
    }
    /// Those that were rung since the last time.
    std::vector<member> rung()
    {
        std::vector<member> result;
        for (member one : who) {
            pollfd ready{bells[one]->number(), POLLIN, 0};
            if (::poll(&ready, 1, 0) == 1)
                result.push_back(one);
            bells[one]->quiet();
        }
        return result;
    }
};

} // namespace

TEST_CASE("one sleeper is woken at a time, and each gets its turn", "[sync]")
{
    sleepers some{3};
    gate at{};
    for (member one : some.who)
        CHECK(leave_word(at, one, some.all) == word::in_its_place);
    std::vector<member> woken;
    for (int i = 0; i < 3; ++i) {
        CHECK(wake_one(at, some.all));
        auto now = some.rung();
        REQUIRE(now.size() == 1);
        CHECK_FALSE(has_place(at, now[0]));
        woken.push_back(now[0]);
    }
    CHECK(std::ranges::is_permutation(woken, some.who));
    CHECK_FALSE(wake_one(at, some.all));
    CHECK(some.rung().empty());
}

TEST_CASE("word is left once, and can be taken back", "[sync]")
{
    sleepers some{2};
    gate at{};
    CHECK(leave_word(at, some.who[0], some.all) == word::in_its_place);
    CHECK(leave_word(at, some.who[0], some.all) == word::in_its_place);
    take_word_back(at, some.who[0]);
    CHECK_FALSE(has_place(at, some.who[0]));
    CHECK_FALSE(wake_one(at, some.all));
    take_word_back(at, some.who[0]);
}

TEST_CASE("who is gone is passed over, and its place is given away", "[sync]")
{
    sleepers some{15};
    gate at{};
    for (std::size_t i = 0; i < gate_places; ++i)
        CHECK(leave_word(at, some.who[i], some.all) == word::in_its_place);
    some.all.remove(some.who[0]);
    CHECK(leave_word(at, some.who[14], some.all) == word::in_its_place);
    for (std::size_t i = 1; i < 14; ++i)
        some.all.remove(some.who[i]);
    CHECK(wake_one(at, some.all));
    CHECK(some.rung() == std::vector{some.who[14]});
    CHECK_FALSE(wake_one(at, some.all));
}

TEST_CASE("those that find no place are woken together", "[sync]")
{
    sleepers some{16};
    gate at{};
    for (std::size_t i = 0; i < 16; ++i)
        CHECK(leave_word(at, some.who[i], some.all) == (i < 14 ? word::in_its_place : word::in_the_crowd));
    SECTION("when nobody else is left")
    {
        for (std::size_t i = 0; i < 14; ++i)
            some.all.remove(some.who[i]);
        CHECK(wake_one(at, some.all));
        CHECK(some.rung() == std::vector{some.who[14], some.who[15]});
        CHECK_FALSE(wake_one(at, some.all));
    }
    SECTION("now and then, though the places are never empty")
    {
        bool heard = false;
        for (int i = 0; i < 14; ++i) {
            CHECK(wake_one(at, some.all));
            auto rung = some.rung();
            heard = heard || std::ranges::count(rung, some.who[15]) == 1;
            for (member one : rung)
                if (one != some.who[14] && one != some.who[15])
                    static_cast<void>(leave_word(at, one, some.all));
        }
        CHECK(heard);
    }
    SECTION("with all others")
    {
        wake_all(at, some.all);
        CHECK(some.rung() == some.who);
        wake_all(at, some.all);
        CHECK(some.rung().empty());
    }
}
