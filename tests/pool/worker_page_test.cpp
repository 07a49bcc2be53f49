// The memory that a pool and a worker share, with both its sides in one process.
#include <catch2/catch.hpp>

#include "os/memory_file.hpp"
#include "pool/two_sides.hpp"
#include "pool/worker_page.hpp"

#include <coproc/detail/entry.hpp>
#include <coproc/error.hpp>

#include <cstring>
#include <new>
#include <numeric>
#include <span>
#include <vector>

using namespace coproc::detail;
using namespace pool_test;
namespace os = coproc::os;

TEST_CASE("a task that is queued is claimed once")
{
    two_sides page;
    page.pool.queue(1);
    CHECK(page.worker.claim(1, 7));
    CHECK_FALSE(page.worker.claim(1, 7));
    CHECK(page.pool.state(1) == task_state::taken);
}

TEST_CASE("a task that was withdrawn can't be claimed, and one that was claimed can't be withdrawn")
{
    two_sides page;
    page.pool.queue(1);
    page.pool.queue(2);
    CHECK(page.pool.withdraw(1));
    CHECK_FALSE(page.worker.claim(1, 7));
    CHECK(page.worker.claim(2, 7));
    CHECK_FALSE(page.pool.withdraw(2));
}

TEST_CASE("a number whose place was taken by a later one is neither claimed nor withdrawn")
{
    two_sides page;
    page.pool.queue(1);
    page.pool.queue(1 + task_slots);
    CHECK_FALSE(page.worker.claim(1, 7));
    CHECK_FALSE(page.pool.withdraw(1));
    CHECK(page.worker.claim(1 + task_slots, 7));
}

TEST_CASE("a page may have room for more tasks")
{
    two_sides page{8 * task_slots};
    CHECK(page.worker.slots() == 8 * task_slots);
    for (std::uint64_t number = 1; number <= 8 * task_slots; ++number)
        page.pool.queue(number);
    for (std::uint64_t number = 1; number <= 8 * task_slots; ++number)
        REQUIRE(page.worker.claim(number, number));
    CHECK(page.pool.begun_at(1) == 1);
    bytes all(ring_size), came(ring_size);
    page.worker.write(all, {}, page.bell); // the slots are behind the ring
    CHECK(page.pool.read(came) == ring_size);
    CHECK(page.pool.state(8 * task_slots) == task_state::taken);
}

TEST_CASE("the progress of the call that a worker keeps in its page is known, of others nothing")
{
    two_sides page;
    coproc::input_archive in{nullptr, 0};
    buffer results;
    coproc::output_archive out{results};
    auto* call = new (page.worker.call_place(5)) invocation{in, out};
    call->done = 3;
    CHECK(page.pool.calls_done(5) == 3);
    CHECK(page.pool.calls_done(4) == 0);
}

TEST_CASE("what is written to the ring is read, beyond its end too")
{
    two_sides page;
    std::size_t written = 0;
    for (std::size_t round = 0; written < 3 * ring_size; ++round) {
        auto header = counting(32, written), body = counting(round * 37 % 5000, written + 32);
        page.worker.write(header, body, page.bell);
        auto size = header.size() + body.size();
        CHECK(page.pool.available() == size);
        bytes came(size + 10);
        REQUIRE(page.pool.read(came) == size);
        came.resize(size);
        REQUIRE(came == counting(size, written));
        written += size;
    }
}

TEST_CASE("the ring can be filled to its last byte, and read in pieces of any size")
{
    two_sides page;
    page.worker.write(counting(32, 0), counting(ring_size - 32, 32), page.bell);
    CHECK(page.pool.available() == ring_size);
    CHECK(page.pool.half_full());
    std::size_t total = 0;
    for (std::size_t piece = 1; total < ring_size; piece = piece * 3 + 1) {
        bytes came(piece);
        auto count = page.pool.read(came);
        came.resize(count);
        REQUIRE(came == counting(count, total));
        total += count;
    }
    CHECK(page.pool.available() == 0);
    bytes nothing(10);
    CHECK(page.pool.read(nothing) == 0);
}

TEST_CASE("counters that can't be right are an error")
{
    two_sides page;
    page.worker.write(counting(32, 0), {}, page.bell);
    // The counter of what was written is the only word of the page that changed to 32.
    auto raw = os::map(page.pool.file(), 4096, os::access::read_write);
    std::size_t found = 0;
    for (std::size_t at = 0; at + 8 <= 4096; at += 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, raw.data() + at, 8);
        if (word != 32)
            continue;
        ++found;
        for (std::uint64_t nonsense : {std::uint64_t{ring_size + 1}, ~std::uint64_t{0}, std::uint64_t{1} << 63}) {
            std::memcpy(raw.data() + at, &nonsense, 8);
            bytes came(10);
            CHECK_THROWS_AS(page.pool.read(came), coproc::protocol_error);
            CHECK_THROWS_AS(page.pool.available(), coproc::protocol_error);
        }
    }
    CHECK(found == 1);
}

TEST_CASE("a file that has not the size of a page is refused")
{
    CHECK_THROWS_AS(worker_page{os::make_memory_file("small", 4096)}, coproc::protocol_error);
    worker_page page;
    CHECK_THROWS_AS(worker_page{os::make_memory_file("longer", os::size_of(page.file()) + 4096)}, coproc::protocol_error);
}
