// Ringing other processes.
#include "os/doorbell.hpp"

#include "support/proc.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <string>
#include <vector>

#include <poll.h>
#include <unistd.h>

using namespace coproc::os;

namespace {

std::string name_of(int index) { return "coproc-test-" + std::to_string(::getpid()) + "-" + std::to_string(index); }

bool is_rung(const doorbell& bell)
{
    pollfd ready{bell.number(), POLLIN, 0};
    return ::poll(&ready, 1, 0) == 1;
}

} // namespace

TEST_CASE("a doorbell that was rung is readable until it is quieted", "[os]")
{
    doorbell bell{name_of(0)};
    bell_ringer ringer;
    CHECK_FALSE(is_rung(bell));
    CHECK(ringer.ring(name_of(0)));
    CHECK(is_rung(bell));
    bell.quiet();
    CHECK_FALSE(is_rung(bell));
    for (int i = 0; i < 100; ++i)
        CHECK(ringer.ring(name_of(0)));
    bell.quiet();
    CHECK_FALSE(is_rung(bell));
}

TEST_CASE("a doorbell that nobody has can't be rung", "[os]")
{
    bell_ringer ringer;
    {
        doorbell bell{name_of(0)};
        CHECK_FALSE(ringer.ring(name_of(1)));
    }
    CHECK_FALSE(ringer.ring(name_of(0)));
}

TEST_CASE("hundreds of doorbells are rung by one, though nobody looks", "[os]")
{
    bell_ringer ringer;
    std::vector<doorbell> bells;
    const int count = std::min(700, support::descriptor_limit() - 100);
    for (int i = 0; i < count; ++i)
        bells.emplace_back(name_of(i));
    for (int i = 0; i < count; ++i)
        CHECK(ringer.ring(name_of(i)));
    CHECK(std::ranges::all_of(bells, is_rung));
}
