// The table of those who share something.
#include "sync/registry.hpp"

#include "support/eventually.hpp"
#include "support/proc.hpp"
#include "sync/copy_of_this.hpp"

#include <coproc/mutex.hpp>

#include <catch2/catch.hpp>

#include <csignal>
#include <set>
#include <vector>

#include <unistd.h>

using namespace coproc::detail;
using tests::copy_of_this;

TEST_CASE("a sleeper is there from its entry to its removal, and its place is another one's then", "[sync]")
{
    auto& all = registry::here();
    const member first = all.add_sleeper(), second = all.add_sleeper();
    CHECK(first != second);
    CHECK((all.is_there(first) && all.is_there(second)));
    CHECK(all.process_of(first) == all.self());
    all.remove(first);
    CHECK_FALSE(all.is_there(first));
    CHECK(all.process_of(first) == 0);
    const member third = all.add_sleeper();
    CHECK(third != first);
    CHECK_FALSE(all.is_there(first));
    all.remove(first); // again: it is not the third's affair
    CHECK(all.is_there(third));
    all.remove(second);
    all.remove(third);
}

TEST_CASE("who has died long ago takes nobody off the list of those to be rung", "[sync]")
{
    auto& all = registry::here();
    const member old = all.add_sleeper();
    all.remove(old);
    const member now = all.add_sleeper();
    REQUIRE(now % 8192 == old % 8192);
    auto bell = all.make_doorbell(now);
    all.set_sleeping(now, true);
    all.remove(old); // a second process noticed the death later than the first
    all.ring_all();
    char byte;
    CHECK(::read(bell->number(), &byte, 1) == 1);
    all.remove(now);
}

TEST_CASE("a process that has died is found out by asking, and its sleepers with it", "[sync]")
{
    auto& all = registry::here();
    coproc::mutex announcement;
    member process = 0, sleeper = 0;
    int numbers[2];
    REQUIRE(::pipe(numbers) == 0);
    copy_of_this child{[&] {
        const member both[] = {registry::here().self(), registry::here().add_sleeper()};
        static_cast<void>(!::write(numbers[1], both, sizeof both));
        ::pause();
        return 0;
    }};
    member both[2];
    REQUIRE(::read(numbers[0], both, sizeof both) == sizeof both);
    process = both[0];
    sleeper = both[1];
    CHECK(process != all.self());
    CHECK(all.is_there(process));
    CHECK(all.process_of(sleeper) == process);
    all.check(process);
    CHECK(all.is_there(process));
    const auto deaths = all.deaths();
    ::kill(child.pid(), SIGKILL);
    REQUIRE(support::eventually([&] { return support::has_ended(child.pid()); }));
    CHECK(all.is_there(process)); // nobody has asked
    all.check(process);
    CHECK_FALSE(all.is_there(process));
    CHECK_FALSE(all.is_there(sleeper));
    CHECK(all.deaths() != deaths);
    ::close(numbers[0]);
    ::close(numbers[1]);
}

TEST_CASE("the places of processes that died unnoticed are found when there are no others", "[sync]")
{
    auto& all = registry::here();
    copy_of_this hoarder{[] {
        try {
            for (;;)
                static_cast<void>(registry::here().add_sleeper());
        } catch (const std::system_error& e) {
            return e.code() == std::errc::resource_unavailable_try_again ? 5 : 6;
        }
        return 7;
    }};
    CHECK(WEXITSTATUS(hoarder.end()) == 5);
    const member one = all.add_sleeper();
    CHECK(all.is_there(one));
    all.remove(one);
}

TEST_CASE("a copy of a process is a process of its own", "[sync]")
{
    const member here = registry::here().self();
    const auto version = registry::here().version();
    copy_of_this copy{[&] { return registry::here().self() != here && registry::here().is_there(here) ? 4 : 5; }};
    CHECK(WEXITSTATUS(copy.end()) == 4);
    CHECK(registry::here().self() == here);
    CHECK(registry::here().version() != version);
}

TEST_CASE("the start time of a process tells it from others with its number", "[sync]")
{
    const auto mine = start_time_of(::getpid());
    CHECK(mine != 0);
    CHECK(start_time_of(::getpid()) == mine);
    CHECK(start_time_of(1) != 0);
    copy_of_this child{[] { return 0; }};
    const pid_t pid = child.pid();
    child.end();
    CHECK(start_time_of(pid) == 0);
}
