// Arrays with a mutex of their own.
#include "pool/tasks.hpp"
#include "shared/support.hpp"

#include <coproc/error.hpp>
#include <coproc/pool.hpp>
#include <coproc/shared_array.hpp>

#include <mutex>
#include <ranges>
#include <vector>

using namespace shared_test;
using coproc::shared_array;
using coproc::with_mutex;

namespace {

/// Each number is counted up by itself, so that one who comes in between would lose something.
void count_up(shared_array<int> numbers, int times)
{
    for (int i = 0; i < times; ++i) {
        std::scoped_lock held{numbers.mutex()};
        for (int& n : numbers)
            n = n + 1;
    }
}

void dies_with(shared_array<int> numbers)
{
    numbers.mutex().lock();
    ::kill(::getpid(), SIGKILL);
}

bool is_locked(shared_array<int> numbers) { return numbers.mutex().locked(); }

} // namespace

TEST_CASE("tasks that change an array under its own mutex lose nothing of one another")
{
    shared_array<int> numbers{20, with_mutex};
    await([&]() -> coproc::task<> {
        coproc::pool pool{3};
        auto first = pool.submit(count_up, numbers, 400);
        auto second = pool.submit(count_up, numbers, 400);
        auto third = pool.submit(count_up, numbers, 400);
        co_await first.get();
        co_await second.get();
        co_await third.get();
    });
    CHECK(std::ranges::count(numbers, 1200) == 20);
}

TEST_CASE("a coroutine holds an array's mutex, and who has the array elsewhere sees it")
{
    await([]() -> coproc::task<> {
        shared_array<int> numbers{2, with_mutex};
        coproc::pool pool{1};
        auto acquire = numbers.mutex().acquire();
        auto held = co_await std::move(acquire);
        CHECK(co_await pool.apply(is_locked, numbers));
        held.release();
        CHECK_FALSE(co_await pool.apply(is_locked, numbers));
    });
}

TEST_CASE("all handles of an array and of its parts have the same mutex, a clone has none")
{
    shared_array<int> numbers{100, with_mutex};
    auto copy = numbers;
    CHECK(copy.mutex() == numbers.mutex());
    CHECK(numbers.subarray(10, 5).mutex() == numbers.mutex());
    CHECK(numbers.subarray(10, 0).mutex() == numbers.mutex());
    CHECK(shared_array<const int>{numbers}.mutex() == numbers.mutex());
    auto sent = passed_on<shared_array<int>>(numbers.subarray(3, 4));
    CHECK(sent.data() == numbers.data() + 3);
    CHECK(sent.size() == 4);
    CHECK(sent.mutex() == numbers.mutex());
    auto moved = std::move(copy);
    CHECK(moved.mutex() == numbers.mutex());
    CHECK_THROWS_AS(numbers.clone().mutex(), coproc::usage_error);

    shared_array<int> another{100, with_mutex};
    CHECK_FALSE(another.mutex() == numbers.mutex());
}

TEST_CASE("an array that was made without a mutex says so")
{
    CHECK_THROWS_WITH(shared_array<int>{4}.mutex(), Catch::Contains("with_mutex"));
    CHECK_THROWS_AS(shared_array<int>{}.mutex(), coproc::usage_error);
    CHECK_THROWS_AS(passed_on<shared_array<int>>(shared_array<int>{4}).mutex(), coproc::usage_error);
}

TEST_CASE("each way to make an array takes a mutex along")
{
    CHECK(std::ranges::equal(shared_array<int>{3, with_mutex}, std::vector{0, 0, 0}));
    CHECK(std::ranges::equal(shared_array<int>{3, 7, with_mutex}, std::vector{7, 7, 7}));
    CHECK(std::ranges::equal(shared_array<int>{std::views::iota(0, 3), with_mutex}, std::vector{0, 1, 2}));
    shared_array deduced{std::vector{1.5, 2.5}, with_mutex};
    static_assert(std::is_same_v<decltype(deduced), shared_array<double>>);
    CHECK(deduced[1] == 2.5);
    CHECK_FALSE(deduced.mutex().locked());
    shared_array<int> empty{0, with_mutex};
    CHECK(empty.empty());
    CHECK_FALSE(empty.mutex().locked());
    CHECK(passed_on<shared_array<int>>(empty).mutex() == empty.mutex());
}

TEST_CASE("mutex and elements are not in each other's way")
{
    for (std::size_t count : {std::size_t{1}, std::size_t{16}, std::size_t{1 << 20}}) { // the last in huge pages, if there are any
        shared_array<int> numbers{count, -1, with_mutex};
        CHECK(reinterpret_cast<std::uintptr_t>(numbers.data()) % 256 == 0);
        CHECK_FALSE(numbers.mutex().locked());
        {
            std::scoped_lock held{numbers.mutex()};
            std::ranges::fill(numbers, -2);
            CHECK(numbers.mutex().locked());
        }
        CHECK_FALSE(numbers.mutex().locked());
        CHECK(std::ranges::count(numbers, -2) == static_cast<std::ptrdiff_t>(count));
    }
}

TEST_CASE("an array and its mutex are one descriptor, in a process and in a message")
{
    auto open = open_files();
    shared_array<int> numbers{1000, with_mutex};
    auto lock = numbers.mutex();
    CHECK(open_files() == open + 1);
    coproc::detail::buffer message;
    coproc::output_archive out{message};
    out(numbers, numbers.subarray(5), lock);
    CHECK(message.attachments().size() == 1);
}

TEST_CASE("the mutex of an array is of use without the array")
{
    auto mapped = mapped_files();
    {
        coproc::mutex lock;
        {
            shared_array<int> numbers{1000, with_mutex};
            lock = numbers.mutex();
        }
        auto sent = passed_on<coproc::mutex>(lock);
        CHECK(sent == lock);
        std::scoped_lock held{sent};
        CHECK(lock.locked());
    }
    CHECK(mapped_files() <= mapped + 1); // the table of those who share something is new, and stays
}

TEST_CASE("who gets an array's mutex after a process that died with it is told")
{
    shared_array<int> numbers{4, with_mutex};
    CHECK(in_process(dies_with, numbers) == -SIGKILL);
    await([&]() -> coproc::task<> {
        auto acquire = numbers.mutex().acquire();
        auto held = co_await std::move(acquire);
        CHECK(held.owner_died());
    });
}

TEST_CASE("a message that claims a mutex where there is none is refused")
{
    shared_array<int> numbers{1024};
    coproc::detail::buffer message;
    coproc::output_archive out{message};
    out(numbers);
    constexpr std::size_t claim = 3 * sizeof(std::uint64_t);
    REQUIRE(message.data()[claim] == std::byte{0});
    message.data()[claim] = std::byte{1};
    coproc::input_archive in{message.data(), message.size(), &message.attachments()};
    shared_array<int> loaded;
    CHECK_THROWS_AS(in(loaded), coproc::protocol_error);
}
