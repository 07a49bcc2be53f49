// Anonymous shared memory.
#include "os/memory_file.hpp"
#include "support/proc.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <system_error>

#include <sys/wait.h>
#include <unistd.h>

using namespace coproc;

TEST_CASE("a new memory file has its size and is all zero", "[os]")
{
    const std::size_t size = GENERATE(1u, 4096u, 4097u, 1u << 20);
    const auto file = os::make_memory_file("zero", size);
    CHECK(os::size_of(file) == size);
    const auto memory = os::map(file, size, os::access::read);
    CHECK(std::count(memory.data(), memory.data() + size, std::byte{0}) == static_cast<std::ptrdiff_t>(size));
}

TEST_CASE("what one mapping writes another one reads, in a copy of the process too", "[os]")
{
    const auto file = os::make_memory_file("shared", 4096);
    const auto ours = os::map(file, 4096, os::access::read_write);
    const pid_t child = ::fork();
    if (child == 0) {
        const auto theirs = os::map(file, 4096, os::access::read_write);
        std::strcpy(reinterpret_cast<char*>(theirs.data()), "from the child");
        ::_exit(0);
    }
    REQUIRE(::waitpid(child, nullptr, 0) == child);
    CHECK(std::string{reinterpret_cast<const char*>(ours.data())} == "from the child");
}

TEST_CASE("a file grows, and a mapping with it, and keeps what it held", "[os]")
{
    const auto file = os::make_memory_file("grows", 4096);
    auto memory = os::map(file, 4096, os::access::read_write);
    memory.data()[4095] = std::byte{7};
    os::resize(file, 1 << 20);
    memory.resize(1 << 20);
    CHECK(memory.size() == 1 << 20);
    CHECK(memory.data()[4095] == std::byte{7});
    memory.data()[(1 << 20) - 1] = std::byte{8};
    CHECK(os::map(file, 1 << 20, os::access::read).data()[(1 << 20) - 1] == std::byte{8});
}

TEST_CASE("a read-only descriptor of a memory file can't be mapped for writing", "[os]")
{
    const auto file = os::make_memory_file("read only", 4096);
    const auto reader = os::read_only(file);
    CHECK_NOTHROW(os::map(reader, 4096, os::access::read));
    CHECK_THROWS_AS(os::map(reader, 4096, os::access::read_write), std::system_error);
}

TEST_CASE("a moved mapping is unmapped once", "[os]")
{
    const auto file = os::make_memory_file("moved mapping", 4096);
    {
        auto first = os::map(file, 4096, os::access::read);
        os::mapping second{std::move(first)};
        CHECK(first.data() == nullptr);
        os::mapping third;
        third = std::move(second);
        CHECK(third.data() != nullptr);
        CHECK(support::memory_files_mapped_by(::getpid()).size() == 1);
    }
    CHECK(support::memory_files_mapped_by(::getpid()).empty());
}

TEST_CASE("a memory file of an impossible size is a system_error and leaves nothing", "[os]")
{
    CHECK_THROWS_AS(os::make_memory_file("huge", SIZE_MAX), std::system_error); // negative for ftruncate
    const auto file = os::make_memory_file("small", 4096);
    CHECK_THROWS_AS(os::map(file, SIZE_MAX / 2, os::access::read), std::system_error);
    CHECK_THROWS_AS(os::map(file, 0, os::access::read), std::system_error);
}
