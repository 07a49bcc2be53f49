// Arrays that processes share.
#include "pool/tasks.hpp"
#include "shared/support.hpp"

#include <coproc/error.hpp>
#include <coproc/pool.hpp>
#include <coproc/shared_array.hpp>

#include <array>
#include <atomic>
#include <complex>
#include <cstdint>
#include <cstring>
#include <list>
#include <map>
#include <numeric>
#include <optional>
#include <ranges>
#include <span>
#include <sstream>
#include <sys/resource.h>
#include <sys/wait.h>
#include <system_error>
#include <tuple>

using namespace shared_test;
using coproc::shared_array;

namespace {

struct point {
    int x = 3, y = 4;
    bool operator==(const point&) const = default;
};

template <class T>
bool equal(const shared_array<T>& a, const std::vector<std::remove_const_t<T>>& b)
{
    return std::ranges::equal(a, b);
}

// Bodies of processes.

int negate(shared_array<int> numbers)
{
    for (int& n : numbers)
        n = -n;
    return 0;
}

shared_array<int> made_there(int n) { return shared_array<int>{std::views::iota(0, n)}; }
shared_array<int> given_back(shared_array<int> numbers) { return numbers; }
void fill(shared_array<int> tile, int value) { std::ranges::fill(tile, value); }
std::uint64_t address_free_sum(const shared_array<std::uint8_t>& bytes) { return bytes.size() + bytes.front() + bytes.back(); }

} // namespace

static_assert(std::ranges::contiguous_range<shared_array<int>>);
static_assert(std::ranges::contiguous_range<const shared_array<int>>);
static_assert(std::ranges::sized_range<shared_array<int>>);
static_assert(std::ranges::common_range<shared_array<int>>);
static_assert(std::is_convertible_v<shared_array<int>&, std::span<int>>);
static_assert(std::is_convertible_v<shared_array<int>&, std::span<const int>>);
static_assert(std::is_convertible_v<shared_array<int>, shared_array<const int>>);
static_assert(!std::is_constructible_v<shared_array<int>, shared_array<const int>>);
static_assert(!std::is_convertible_v<std::vector<int>, shared_array<int>>);
static_assert(std::is_nothrow_move_constructible_v<shared_array<int>>);
static_assert(std::is_same_v<decltype(shared_array{std::vector{1.0f}}), shared_array<float>>);

TEST_CASE("an array of a size is all zero, also where memory was used before", "[ARR-002]")
{
    for (int round = 0; round < 20; ++round) {
        shared_array<int> numbers{3000};
        REQUIRE(numbers.size() == 3000);
        REQUIRE(std::ranges::all_of(numbers, [](int n) { return n == 0; }));
        std::ranges::fill(numbers, -1); // for the next round
    }
    shared_array<point> points{2}; // what its constructor says
    CHECK(points[1] == point{});
}

TEST_CASE("an array is made from a count and a value, from any range, from another one's elements")
{
    CHECK(equal(shared_array<int>{3, 7}, {7, 7, 7}));
    CHECK(equal(shared_array<int>{std::views::iota(0, 4)}, {0, 1, 2, 3}));
    CHECK(equal(shared_array<double>{std::list{1, 2}}, {1.0, 2.0}));
    CHECK(equal(shared_array{std::array{5, 6}}, {5, 6}));
    std::istringstream words{"1 2 3"};
    CHECK(equal(shared_array<int>{std::ranges::istream_view<int>(words)}, {1, 2, 3}));
    const int plain[] = {8, 9};
    CHECK(equal(shared_array<int>{plain}, {8, 9}));
    CHECK(shared_array<point>{2, point{1, 2}}[1] == point{1, 2});
}

TEST_CASE("an empty array has no memory: by default, of size zero, from an empty range, moved from")
{
    auto before = mapped_files();
    shared_array<int> a, b{0}, c{std::vector<int>{}};
    shared_array<int> d = shared_array<int>{0, 5};
    for (auto& empty : {a, b, c, d}) {
        CHECK(empty.empty());
        CHECK(empty.size() == 0);
        CHECK(empty.begin() == empty.end());
        CHECK(empty.clone().empty());
        CHECK(passed_on<shared_array<int>>(empty).empty());
    }
    CHECK(mapped_files() == before);
    shared_array<int> full{4}, taken{std::move(full)};
    CHECK(full.empty()); // NOLINT: it is said to be
    CHECK(full.begin() == full.end());
    CHECK(taken.size() == 4);
}

TEST_CASE("elements are reached as in any container, and at() checks")
{
    shared_array<int> numbers{std::vector{1, 2, 3}};
    numbers[1] = 20;
    CHECK(numbers.front() == 1);
    CHECK(numbers.back() == 3);
    CHECK(numbers.at(1) == 20);
    CHECK(numbers.data() == &numbers[0]);
    CHECK_THROWS_AS(numbers.at(3), std::out_of_range);
    std::span<int> span = numbers;
    CHECK(span.size() == 3);
    std::ranges::sort(numbers, std::greater{});
    CHECK(equal(numbers, {20, 3, 1}));
}

TEST_CASE("copies and views that only read share the elements, clones don't", "[SHL-005]")
{
    shared_array<int> numbers{3, 1};
    auto copy = numbers;
    auto clone = numbers.clone();
    shared_array<const int> view = numbers;
    copy[0] = 5;
    CHECK(numbers[0] == 5);
    CHECK(view[0] == 5);
    CHECK(clone[0] == 1);
    clone[1] = 6;
    CHECK(numbers[1] == 1);
    CHECK(view.clone().data() != view.data());
    copy = clone;
    CHECK(copy.data() == clone.data());
}

TEST_CASE("a part of an array shares its elements, and lies within it")
{
    shared_array<int> numbers{std::views::iota(0, 10)};
    auto part = numbers.subarray(3, 4);
    CHECK(equal(part, {3, 4, 5, 6}));
    part.subarray(1)[0] = 40;
    CHECK(numbers[4] == 40);
    CHECK(numbers.subarray(10).empty());
    CHECK_THROWS_AS(numbers.subarray(11), std::out_of_range);
    CHECK_THROWS_AS(numbers.subarray(3, 8), std::out_of_range);
    CHECK_THROWS_AS(numbers.subarray(1, ~std::size_t{0} - 1), std::out_of_range);
    auto sent = passed_on<shared_array<int>>(part);
    CHECK(sent.data() == part.data());
    CHECK(sent.size() == 4);
    numbers = {};
    CHECK(equal(part, {3, 40, 5, 6})); // it keeps the memory
}

TEST_CASE("what a child writes, the parent reads", "[ARR-001][SHM-007]")
{
    for (auto method : {coproc::start_method::forkserver, coproc::start_method::spawn, coproc::start_method::fork}) {
        shared_array<int> numbers{std::views::iota(0, 10)};
        await([&]() -> coproc::task<> {
            coproc::process_options options;
            options.method = method;
            auto start = coproc::process::start(options, negate, numbers);
            coproc::process p = co_await std::move(start);
            co_await p.join();
        });
        CHECK(numbers[9] == -9);
        CHECK(std::accumulate(numbers.begin(), numbers.end(), 0) == -45);
    }
}

TEST_CASE("slices that are sent are written by different workers side by side", "[ARR-001]")
{
    shared_array<int> image{40};
    await([&]() -> coproc::task<> {
        coproc::pool pool{2};
        std::vector<std::tuple<shared_array<int>, int>> tiles;
        for (int i = 0; i < 4; ++i)
            tiles.emplace_back(image.subarray(static_cast<std::size_t>(i) * 10, 10), i + 1);
        auto map = pool.starmap(fill, tiles);
        co_await std::move(map);
    });
    for (std::size_t i = 0; i < 40; ++i)
        REQUIRE(image[i] == static_cast<int>(i) / 10 + 1);
}

TEST_CASE("an array that a worker made outlives the worker")
{
    shared_array<int> numbers;
    await([&]() -> coproc::task<> {
        coproc::pool pool{1};
        auto call = pool.apply(made_there, 1000);
        numbers = co_await std::move(call);
        co_await pool.close();
    });
    CHECK(numbers.size() == 1000);
    CHECK(numbers[999] == 999);
    numbers[0] = 1;
}

TEST_CASE("an array that goes to a worker and comes back is the same one")
{
    shared_array<int> numbers{std::views::iota(0, 100)};
    await([&]() -> coproc::task<> {
        coproc::pool pool{1};
        auto call = pool.apply(given_back, numbers);
        auto back = co_await std::move(call);
        CHECK(back.data() == numbers.data());
        CHECK(back.size() == numbers.size());
    });
}

TEST_CASE("an array is passed on by a process that did not make it")
{
    shared_array<int> numbers{std::views::iota(0, 10)};
    auto relay = [](shared_array<int> given) {
        return coproc::sync_wait([](shared_array<int> mine) -> coproc::task<int> {
            auto start = coproc::process::start(negate, mine);
            coproc::process p = co_await std::move(start);
            mine = {};
            auto end = co_await p.join();
            co_return end.code();
        }(std::move(given)));
    };
    CHECK(in_process(relay, numbers) == 0);
    CHECK(numbers[9] == -9);
}

TEST_CASE("arrays travel inside other values")
{
    std::map<std::string, std::vector<shared_array<int>>> values;
    values["a"] = {shared_array<int>{2, 1}, shared_array<int>{}, shared_array<int>{3, 2}};
    auto there = passed_on<std::map<std::string, std::vector<shared_array<int>>>>(values);
    REQUIRE(there["a"].size() == 3);
    CHECK(there["a"][0].data() == values["a"][0].data());
    CHECK(there["a"][1].empty());
    CHECK(equal(there["a"][2], {2, 2, 2}));
    auto some = passed_on<std::optional<shared_array<int>>>(std::optional{values["a"][0]});
    CHECK(some->data() == values["a"][0].data());
}

TEST_CASE("an array is not taken for one of other elements", "[SHM-014]")
{
    shared_array<int> numbers{4};
    CHECK_THROWS_AS(passed_on<shared_array<float>>(numbers), coproc::type_error);
    CHECK_THROWS_AS(passed_on<shared_array<unsigned>>(numbers), coproc::type_error);
    CHECK_THROWS_AS(passed_on<shared_array<int>>(shared_array<const int>{numbers}), coproc::type_error);
    CHECK(passed_on<shared_array<const int>>(shared_array<const int>{numbers}).data() == numbers.data());
}

TEST_CASE("a message that claims elements beyond the memory that came is refused")
{
    shared_array<int> numbers{1024};
    auto claimed = [&](std::uint64_t first, std::uint64_t count) {
        coproc::detail::buffer message;
        coproc::output_archive out{message};
        out(numbers);
        std::uint64_t words[] = {first, count};
        std::memcpy(message.data() + sizeof(std::uint64_t), words, sizeof words);
        coproc::input_archive in{message.data(), message.size(), &message.attachments()};
        shared_array<int> loaded;
        in(loaded);
        return loaded.size();
    };
    CHECK(claimed(0, 1024) == 1024);
    CHECK(claimed(1000, 24) == 24);
    const auto huge = ~std::uint64_t{0};
    for (auto [first, count] : {std::pair<std::uint64_t, std::uint64_t>{0, 1025}, {1, 1024}, {huge, 1}, {1, huge}, {huge / 4, 1}, {huge / 8, huge / 8}})
        CHECK_THROWS_AS(claimed(first, count), coproc::protocol_error);
}

TEST_CASE("sizes that no memory has are refused with ENOMEM, also where the product overflows", "[SHM-019]")
{
    for (std::size_t count : {std::size_t{1} << 45, std::size_t{1} << 61, ~std::size_t{0} / 8 + 2, ~std::size_t{0}}) {
        try {
            shared_array<double> numbers{count};
            FAIL("it was made");
        } catch (const std::system_error& e) {
            CHECK(e.code().value() == ENOMEM);
        }
    }
}

TEST_CASE("descriptor and mapping go with the last handle", "[SHM-007]")
{
    auto mapped = mapped_files(), open = open_files();
    {
        shared_array<int> numbers{1000};
        auto part = numbers.subarray(1, 2);
        numbers = {};
        CHECK(mapped_files() == mapped + 1);
        CHECK(open_files() == open + 1);
    }
    CHECK(mapped_files() == mapped);
    CHECK(open_files() == open);
}

TEST_CASE("when holders are killed nothing is left, and whoever still has the array reads on")
{
    auto open = open_files();
    {
        shared_array<int> numbers{1000};
        auto holder = [](shared_array<int> mine) {
            mine[5] = 55;
            ::kill(::getpid(), SIGKILL);
        };
        CHECK(in_process(holder, numbers) == -SIGKILL);
        CHECK(numbers[5] == 55);
    }
    CHECK(open_files() == open);
}

TEST_CASE("an array whose maker was killed lives on where it was sent")
{
    await([]() -> coproc::task<> {
        coproc::pool pool{1};
        auto call = pool.apply(made_there, 5000);
        auto numbers = co_await std::move(call);
        auto pid = co_await pool.apply(pool_test::own_pid);
        support::kill_now(pid);
        auto other = pool.apply(given_back, numbers); // by its successor
        auto back = co_await std::move(other);
        CHECK(back.data() == numbers.data());
        CHECK(numbers[4999] == 4999);
    });
}

TEST_CASE("handing a gigabyte to a worker copies nothing: no page of it is touched on the way")
{
    constexpr std::size_t gigabyte = 1 << 30;
    shared_array<std::uint8_t> bytes{gigabyte};
    bytes.back() = 7;
    await([&]() -> coproc::task<> {
        coproc::pool pool{2};
        std::vector<shared_array<std::uint8_t>> inputs(20, bytes);
        auto map = pool.map(address_free_sum, inputs);
        for (auto sum : co_await std::move(map))
            CHECK(sum == gigabyte + 7);
    });
    // Two pages were touched, or as many huge ones.
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    CHECK(usage.ru_maxrss < 512 * 1024);
}

TEST_CASE("atomic_ref counts across processes")
{
    shared_array<int> counter{1};
    await([&]() -> coproc::task<> {
        coproc::pool pool{2};
        auto add = [](shared_array<int> c) {
            for (int i = 0; i < 1000; ++i)
                std::atomic_ref{c[0]}.fetch_add(1);
        };
        std::vector<shared_array<int>> inputs(10, counter);
        auto map = pool.map(add, inputs);
        co_await std::move(map);
    });
    CHECK(counter[0] == 10000);
}

TEST_CASE("a forked copy of the process shares the elements, but sends them nowhere")
{
    shared_array<int> numbers{4};
    pid_t child = ::fork();
    if (child == 0) {
        numbers[0] = 1;
        try {
            (void)passed_on<shared_array<int>>(numbers);
        } catch (const coproc::usage_error&) {
            ::_exit(0);
        }
        ::_exit(1);
    }
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    CHECK(numbers[0] == 1);
}
