// A descriptor has one owner and is closed once.
#include "os/descriptor.hpp"
#include "os/memory_file.hpp"
#include "os/packet.hpp"
#include "os/watch_set.hpp"
#include "support/injection.hpp"
#include "support/proc.hpp"
#include "support/program.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>
#include <type_traits>
#include <vector>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace coproc;

namespace {

bool is_open(int number) { return ::fcntl(number, F_GETFD) >= 0; }
bool closes_on_exec(int number) { return (::fcntl(number, F_GETFD) & FD_CLOEXEC) != 0; }

bool is_owned(int number)
{
    const auto all = os::owned_descriptors();
    return std::find(all.begin(), all.end(), number) != all.end();
}

// Runs `f` in a copy of this process without standard streams and returns its exit code.
template <class F>
int without_standard_streams(F f)
{
    const pid_t child = ::fork();
    if (child == 0) {
        for (int number : {0, 1, 2})
            ::close(number);
        int code = 99;
        try {
            code = f();
        } catch (...) {
        }
        ::_exit(code);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

} // namespace

TEST_CASE("a descriptor is closed when its owner ends, and not before", "[os]")
{
    int number = -1;
    {
        os::descriptor owner = os::make_event();
        number = owner.get();
        CHECK(is_open(number));
        CHECK(is_owned(number));
    }
    CHECK_FALSE(is_open(number));
    CHECK_FALSE(is_owned(number));
}

TEST_CASE("a moved descriptor leaves its old owner empty", "[os]")
{
    os::descriptor first = os::make_event();
    const int number = first.get();
    os::descriptor second{std::move(first)};
    CHECK_FALSE(first);
    CHECK(second.get() == number);
    os::descriptor third = os::make_event();
    const int other = third.get();
    third = std::move(second);
    CHECK(third.get() == number);
    CHECK_FALSE(is_open(other));
    CHECK(is_open(number));
    static_assert(!std::is_copy_constructible_v<os::descriptor> && !std::is_copy_assignable_v<os::descriptor>);
}

TEST_CASE("a descriptor that was released is open and nobody's", "[os]")
{
    os::descriptor owner = os::make_event();
    const int number = owner.release();
    CHECK(is_open(number));
    CHECK_FALSE(is_owned(number));
    CHECK_FALSE(owner);
    ::close(number);
}

TEST_CASE("a second reset closes nothing, so the number's next owner keeps it", "[os]")
{
    os::descriptor owner = os::make_event();
    const int number = owner.get();
    owner.reset();
    os::descriptor next = os::make_event();
    REQUIRE(next.get() == number); // the kernel gives the lowest free number
    owner.reset();
    CHECK(is_open(number));
}

TEST_CASE("an empty descriptor can't be duplicated: the error is a system_error", "[os]")
{
    CHECK_THROWS_AS(os::descriptor{}.duplicate(), std::system_error);
}

TEST_CASE("all descriptors that are made close on exec", "[os]")
{
    const auto pipe = os::make_pipe();
    const auto pair = os::make_packet_pair();
    const auto event = os::make_event();
    const auto file = os::open_file("/dev/null", O_RDONLY);
    const auto memory = os::make_memory_file("test", 1);
    const os::watch_set set;
    const auto copy = event.duplicate();
    for (int number : {pipe.first.get(), pipe.second.get(), pair.first.get(), pair.second.get(), event.get(), file.get(),
                       memory.get(), set.number(), copy.get()})
        CHECK(closes_on_exec(number));
}

TEST_CASE("a received descriptor closes on exec", "[os]")
{
    const auto pair = os::make_packet_pair();
    const std::byte byte{1};
    const int number = pair.first.get();
    REQUIRE(os::send_packet(pair.first.get(), {&byte, 1}, {&number, 1}) == os::sent::yes);
    std::byte to{};
    const auto packet = os::receive_packet(pair.second.get(), {&to, 1}, os::wait::yes);
    REQUIRE(packet.descriptors.size() == 1);
    CHECK(closes_on_exec(packet.descriptors[0].get()));
}

TEST_CASE("with 0, 1 and 2 closed no descriptor of ours takes their place", "[os][PRC-041]")
{
    const int code = without_standard_streams([] {
        const auto pipe = os::make_pipe();
        const auto pair = os::make_packet_pair();
        const auto event = os::make_event();
        const auto file = os::open_file("/dev/null", O_RDONLY);
        const auto memory = os::make_memory_file("test", 1);
        const os::watch_set set;
        const auto copy = event.duplicate();
        const std::byte byte{1};
        const int sent = event.get();
        static_cast<void>(os::send_packet(pair.first.get(), {&byte, 1}, {&sent, 1}));
        std::byte to{};
        const auto packet = os::receive_packet(pair.second.get(), {&to, 1}, os::wait::yes);
        for (int number : {pipe.first.get(), pipe.second.get(), pair.first.get(), pair.second.get(), event.get(), file.get(),
                           memory.get(), set.number(), copy.get(), packet.descriptors.at(0).get()})
            if (number <= 2)
                return 1;
        for (int number : {0, 1, 2})
            if (is_open(number))
                return 2;
        return 0;
    });
    CHECK(code == 0);
}

TEST_CASE("with 0, 1 and 2 closed a pair whose first or second end can't be moved away is an error that leaves nothing", "[os]")
{
    for (int failing : {0, 1}) {
        const int code = without_standard_streams([failing] {
            const std::size_t before = support::open_descriptors(::getpid()).size();
            int index = failing;
            support::injection one{[index](os::call call) mutable {
                return call == os::call::duplicate && index-- == 0 ? os::verdict{EMFILE, SIZE_MAX} : os::verdict{};
            }};
            try {
                static_cast<void>(os::make_pipe());
                return 1;
            } catch (const std::system_error& e) {
                if (e.code().value() != EMFILE)
                    return 2;
            }
            return support::open_descriptors(::getpid()).size() == before ? 0 : 3;
        });
        CHECK(code == 0);
    }
}

TEST_CASE("a copy of a process that abandons its descriptors closes all but the kept ones", "[os]")
{
    auto pipe = os::make_pipe();
    auto event = os::make_event();
    const pid_t child = ::fork();
    if (child == 0) {
        os::abandon_descriptors({event.get()});
        const bool good = !is_open(pipe.first.get()) && !is_open(pipe.second.get()) && is_open(event.get())
                          && os::owned_descriptors() == std::vector<int>{event.get()};
        ::_exit(good ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    CHECK(is_open(pipe.first.get()));
}

TEST_CASE("a file that can't be opened is named by the error", "[os]")
{
    try {
        static_cast<void>(os::open_file("/no/such/file", O_RDONLY));
        FAIL("it was opened");
    } catch (const std::system_error& e) {
        CHECK(e.code() == std::errc::no_such_file_or_directory);
        CHECK_THAT(e.what(), Catch::Contains("/no/such/file"));
    }
}
