#include "os/futex.hpp"
#include "support/eventually.hpp"
#include "support/proc.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <new>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace coproc;

namespace {

using word = std::atomic<std::uint32_t>;

struct shared_word {
    shared_word() : at{new (::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) word{0}} {}
    ~shared_word() { ::munmap(at, 4096); }
    word* at;
};

} // namespace

TEST_CASE("a wait for a value that the word has no more returns at once", "[os]")
{
    word w{1};
    os::futex_wait(w, 0);
    CHECK(w == 1);
}

TEST_CASE("a process that sleeps on a word is woken by another one", "[os]")
{
    const shared_word shared;
    const pid_t child = ::fork();
    if (child == 0) {
        while (*shared.at == 0)
            os::futex_wait(*shared.at, 0);
        ::_exit(0);
    }
    CHECK(support::eventually([&] { return support::state_of(child) == 'S'; }));
    *shared.at = 1;
    os::futex_wake(*shared.at);
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
}
