#include "os/watch_set.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdint>
#include <system_error>
#include <vector>

#include <poll.h>
#include <unistd.h>

using namespace coproc;

namespace {

std::vector<std::uint64_t> new_in(const os::watch_set& set)
{
    std::vector<std::uint64_t> tokens;
    set.collect(tokens);
    std::sort(tokens.begin(), tokens.end());
    return tokens;
}

void ring(const os::descriptor& event)
{
    const std::uint64_t one = 1;
    REQUIRE(::write(event.get(), &one, sizeof one) == sizeof one);
}

} // namespace

TEST_CASE("a watch set tells the tokens of what is new, once for each time", "[os]")
{
    const os::watch_set set;
    const auto a = os::make_event(), b = os::make_event();
    set.add_readable(a.get(), 1);
    set.add_readable(b.get(), 2);
    CHECK(new_in(set).empty());
    ring(b);
    pollfd p{set.number(), POLLIN, 0};
    CHECK(::poll(&p, 1, 0) == 1);
    CHECK(new_in(set) == std::vector<std::uint64_t>{2});
    CHECK(new_in(set).empty()); // not read, but told
    ring(a);
    ring(b);
    CHECK(new_in(set) == std::vector<std::uint64_t>{1, 2});
}

TEST_CASE("more than one system call's worth of news is told completely", "[os]")
{
    const os::watch_set set;
    std::vector<os::descriptor> events;
    for (std::uint64_t i = 0; i < 200; ++i) {
        events.push_back(os::make_event());
        set.add_readable(events.back().get(), i);
        ring(events.back());
    }
    std::vector<std::uint64_t> all;
    for (auto more = new_in(set); !more.empty(); more = new_in(set))
        all.insert(all.end(), more.begin(), more.end());
    std::sort(all.begin(), all.end());
    REQUIRE(all.size() == 200);
    for (std::uint64_t i = 0; i < 200; ++i)
        CHECK(all[i] == i);
}

TEST_CASE("room in a full pipe is news for a writer", "[os]")
{
    const os::watch_set set;
    const auto pipe = os::make_pipe();
    pipe.second.set_non_blocking(true);
    const std::vector<char> block(65536);
    while (::write(pipe.second.get(), block.data(), block.size()) > 0) {}
    set.add_writable(pipe.second.get(), 9);
    CHECK(new_in(set).empty());
    std::vector<char> to(1 << 20);
    REQUIRE(::read(pipe.first.get(), to.data(), to.size()) > 0);
    CHECK(new_in(set) == std::vector<std::uint64_t>{9});
}

TEST_CASE("what was removed is told no more, and removing a stranger is harmless", "[os]")
{
    const os::watch_set set;
    const auto event = os::make_event();
    set.add_readable(event.get(), 1);
    const auto copy = event.duplicate();
    set.remove(event.get());
    set.remove(event.get());
    set.remove(-1);
    ring(copy);
    CHECK(new_in(set).empty());
}

TEST_CASE("a closed descriptor can't be watched", "[os]")
{
    const os::watch_set set;
    CHECK_THROWS_AS(set.add_readable(-1, 1), std::system_error);
}
