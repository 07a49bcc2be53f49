// The leak check is tested from outside, as the hang guard is.
#include "support/leak_check.hpp"
#include "support/program.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <thread>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace {

void expect_leak(const std::string& test_case, const std::string& words)
{
    const auto result = support::run_program("/proc/self/exe", {test_case});
    CHECK(result.exit_code == 1);
    CHECK_THAT(result.err, Catch::Contains("LEAK in \"" + test_case + "\"") && Catch::Contains(words));
}

} // namespace

TEST_CASE("misbehave: leak a descriptor", "[.misbehave]") { CHECK(::open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0); }

TEST_CASE("misbehave: leak a zombie", "[.misbehave]")
{
    const pid_t child = ::fork();
    if (child == 0)
        ::_exit(0);
    CHECK(child > 0);
}

TEST_CASE("misbehave: leak a thread", "[.misbehave]") { std::thread{[] { ::pause(); }}.detach(); }

TEST_CASE("misbehave: leak a mapped memory file", "[.misbehave]")
{
    const int file = ::memfd_create("forgotten", MFD_CLOEXEC);
    REQUIRE(::ftruncate(file, 4096) == 0);
    CHECK(::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, file, 0) != MAP_FAILED);
    ::close(file);
}

TEST_CASE("a descriptor that is left open is a leak, named with what it refers to")
{
    expect_leak("misbehave: leak a descriptor", "-> /dev/null");
}

TEST_CASE("a child that is not reaped is a leak") { expect_leak("misbehave: leak a zombie", "state Z"); }

TEST_CASE("a thread that still runs is a leak") { expect_leak("misbehave: leak a thread", "thread "); }

TEST_CASE("a memory file that is still mapped is a leak")
{
    expect_leak("misbehave: leak a mapped memory file", "/memfd:forgotten");
}

TEST_CASE("what ends within the patience of the check is no leak")
{
    const int copy = ::dup(0);
    CHECK_FALSE(support::settle());
    ::close(copy);
    CHECK(support::settle());
}
