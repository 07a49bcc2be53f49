// Containers in shared memory that several processes make, change and destroy.
#include "shared/containers.hpp"
#include "shared/support.hpp"
#include "support/eventually.hpp"

#include <coproc/error.hpp>
#include <coproc/shared_array.hpp>
#include <coproc/shared_segment.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <random>
#include <stdexcept>
#include <sys/wait.h>
#include <system_error>
#include <variant>

using namespace shared_test;

namespace {

/// A process that runs f() and must not return; waits for its end.
template <class F>
void dies_in(F f)
{
    pid_t child = ::fork();
    if (child == 0) {
        f();
        ::_exit(1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));
}

struct throwing {
    throwing() { throw std::domain_error{"no"}; }
};

struct fatal {
    fatal() { ::kill(::getpid(), SIGKILL); }
};

} // namespace

TEST_CASE("objects are made under a name, found, destroyed")
{
    shared_segment segment{size};
    CHECK(segment.valid());
    CHECK(segment.size() > size - 4096);
    CHECK(segment.find<int>("n") == nullptr);
    int& n = segment.construct<int>("n", 5);
    CHECK(n == 5);
    CHECK(segment.find<int>("n") == &n);
    CHECK(&segment.find_or_construct<int>("n", 6) == &n);
    CHECK(n == 5);
    CHECK(segment.find_or_construct<int>("m", 6) == 6);
    CHECK(segment.destroy<int>("n"));
    CHECK_FALSE(segment.destroy<int>("n"));
    CHECK(segment.find<int>("n") == nullptr);
    CHECK(whole(segment));
}

TEST_CASE("a name is used once", "[SHM-002]")
{
    shared_segment segment{size};
    segment.construct<int>("n", 5);
    CHECK_THROWS_AS(segment.construct<int>("n", 6), coproc::usage_error);
    CHECK_THROWS_AS(segment.construct<double>("n", 6.0), coproc::usage_error);
    CHECK(*segment.find<int>("n") == 5);
}

TEST_CASE("an object made as one type is not found, or destroyed, as another", "[SHM-014]")
{
    shared_segment segment{size};
    segment.construct<std::uint32_t>("n", 5u);
    CHECK_THROWS_AS(segment.find<float>("n"), coproc::type_error);
    CHECK_THROWS_AS(segment.find<vector<int>>("n"), coproc::type_error);
    CHECK_THROWS_AS(segment.destroy<float>("n"), coproc::type_error);
    CHECK_THROWS_AS(segment.find_or_construct<float>("n", 1.0f), coproc::type_error);
    CHECK(*segment.find<std::uint32_t>("n") == 5);
}

TEST_CASE("when a constructor throws, nothing of that name is there and the segment is usable", "[SHM-013]")
{
    shared_segment segment{size};
    segment.construct<int>("warm up");
    auto free = segment.free_memory();
    CHECK_THROWS_AS(segment.construct<throwing>("t"), std::domain_error);
    CHECK_THROWS_AS(segment.find_or_construct<throwing>("t"), std::domain_error);
    CHECK(segment.find<throwing>("t") == nullptr);
    CHECK(segment.free_memory() == free);
    CHECK(segment.construct<int>("t", 1) == 1);
}

TEST_CASE("a full segment says so, and has room again once something is destroyed")
{
    shared_segment segment{16 * 1024};
    CHECK_THROWS_AS((segment.construct<std::array<char, 20000>>("too large")), std::bad_alloc);
    using large = std::array<char, 10000>;
    segment.construct<large>("large");
    auto& numbers = segment.construct<vector<int>>("numbers", segment.allocator<int>());
    CHECK_THROWS_AS(numbers.resize(2000), bip::bad_alloc);
    segment.destroy<large>("large");
    numbers.resize(2000);
    CHECK_THROWS_AS(segment.construct<large>("large"), std::bad_alloc);
    segment.destroy<vector<int>>("numbers");
    segment.construct<large>("large");
    CHECK(whole(segment));
}

TEST_CASE("an empty segment has nothing, a size too small or too large is refused", "[SHM-004][SHM-019]")
{
    shared_segment empty;
    CHECK_FALSE(empty.valid());
    CHECK_THROWS_AS(empty.find<int>("n"), coproc::usage_error);
    CHECK_FALSE(passed_on<shared_segment>(empty).valid());
    CHECK_THROWS_AS(shared_segment{0}, coproc::usage_error);
    CHECK_THROWS_AS(shared_segment{100}, coproc::usage_error);
    CHECK_THROWS_AS(shared_segment{std::size_t{1} << 50}, std::system_error);
    CHECK_THROWS_AS(shared_segment{~std::size_t{0}}, std::system_error);
}

TEST_CASE("a copy is a second handle of the same segment; it comes back as what it is")
{
    shared_segment segment{size};
    auto copy = segment;
    segment.construct<int>("n", 5);
    CHECK(copy.find<int>("n") == segment.find<int>("n"));
    auto back = passed_on<shared_segment>(segment);
    CHECK(back.find<int>("n") == segment.find<int>("n"));
    segment = {};
    CHECK(*copy.find<int>("n") == 5);
}

TEST_CASE("memory that is no segment is not taken for one")
{
    coproc::detail::buffer message;
    coproc::output_archive out{message};
    auto other = coproc::detail::make_shared_file("coproc test", size);
    out(true);
    coproc::detail::save_file(out, other);
    coproc::input_archive in{message.data(), message.size(), &message.attachments()};
    shared_segment segment;
    CHECK_THROWS_AS(in(segment), coproc::protocol_error);
}

TEST_CASE("another process finds the containers, changes them, and leaves its own")
{
    shared_segment segment{size};
    auto& words = segment.construct<table>("words", segment.allocator<std::pair<const int, text>>());
    words.emplace(1, text_in(segment, "one"));
    auto body = [](shared_segment there) {
        auto& found = *there.find<table>("words");
        found.emplace(2, text_in(there, "two, which is long enough to need memory of its own"));
        found.at(1) += " and more";
        there.construct<vector<double>>("numbers", there.allocator<double>()).assign({1.5, 2.5});
        return found.size() == 2 ? 0 : 1;
    };
    REQUIRE(in_process(body, segment) == 0);
    CHECK(words.at(1) == "one and more");
    CHECK(words.at(2).find("two") == 0);
    CHECK(segment.find<vector<double>>("numbers")->back() == 2.5);
    CHECK(whole(segment));
}

TEST_CASE("of processes that find or construct one name, one constructs")
{
    shared_segment segment{size};
    auto body = [](shared_segment there) {
        ++there.find_or_construct<std::atomic<int>>("count", 0);
        return 0;
    };
    for (int i = 0; i < 3; ++i)
        REQUIRE(in_process(body, segment) == 0);
    CHECK(*segment.find<std::atomic<int>>("count") == 3);
}

TEST_CASE("two processes build and destroy containers 10000 times in one segment, which stays whole", "[ARR-005]")
{
    shared_segment segment{size};
    segment.construct<int>("warm up");
    auto free = segment.free_memory();
    await([&]() -> coproc::task<> {
        auto first = coproc::process::start(build_and_destroy, segment, 10000, 1);
        auto second = coproc::process::start(build_and_destroy, segment, 10000, 2);
        coproc::process a = co_await std::move(first), b = co_await std::move(second);
        auto end_a = co_await a.join(), end_b = co_await b.join();
        CHECK(end_a.code() == 0);
        CHECK(end_b.code() == 0);
    });
    CHECK(whole(segment));
    CHECK(segment.free_memory() == free);
}

TEST_CASE("what a constructor allocates, finds and frees under the segment's own lock waits for nobody", "[ARR-004]")
{
    struct busy {
        explicit busy(const shared_segment& segment)
        {
            vector<int> numbers(100, 1, segment.allocator<int>()); // allocated and freed in the middle of `construct`
            segment.construct<int>("inner", static_cast<int>(numbers.size()));
            segment.destroy<int>("outer");
        }
    };
    shared_segment segment{size};
    segment.construct<int>("outer", 1);
    segment.construct<busy>("busy", segment);
    CHECK(*segment.find<int>("inner") == 100);
    CHECK(segment.find<int>("outer") == nullptr);
    CHECK(whole(segment));
}

TEST_CASE("a process that dies in the middle of an allocation breaks the segment, and nobody waits for it", "[ARR-004]")
{
    shared_segment segment{size};
    auto& numbers = segment.construct<vector<int>>("numbers", segment.allocator<int>());
    numbers.assign(100, 7);
    // Boost's books begin with their lock; a process is stopped for ever right after it has taken it.
    auto& lock = reinterpret_cast<coproc::detail::segment_mutex&>(segment.manager()->get_memory_algorithm());
    dies_in([&] {
        lock.lock();
        ::kill(::getpid(), SIGKILL);
    });
    CHECK_THROWS_AS(segment.construct<int>("n"), coproc::broken_segment);
    CHECK_THROWS_AS(numbers.resize(10000), coproc::error);
    CHECK_THROWS_WITH(numbers.resize(10000), Catch::Contains("process died"));
    // What was there can be read, and destroying gives nothing back but does no harm.
    CHECK(segment.find<vector<int>>("numbers")->at(99) == 7);
    CHECK(segment.destroy<vector<int>>("numbers"));
    auto body = [](shared_segment there) {
        try {
            there.construct<int>("n");
        } catch (const coproc::error&) {
            return 7; // found out in every process
        }
        return 0;
    };
    CHECK(in_process(body, segment) == 7);
}

TEST_CASE("a process that dies in an object's constructor breaks the names, and nobody waits for it")
{
    shared_segment segment{size};
    auto& numbers = segment.construct<vector<int>>("numbers", segment.allocator<int>());
    dies_in([&] { segment.construct<fatal>("f"); });
    CHECK_THROWS_AS(segment.find<int>("f"), coproc::broken_segment);
    CHECK_THROWS_AS(segment.construct<int>("n"), coproc::broken_segment);
    numbers.assign(100, 7); // memory is whole
    CHECK(numbers.back() == 7);
}

TEST_CASE("processes killed at any moment of building and destroying leave a whole segment or a broken one, never a wait")
{
    std::mt19937 random{7}; // of no particular choice
    for (int round = 0; round < 40; ++round) {
        shared_segment segment{size};
        segment.construct<std::atomic<int>>("turns", 0);
        auto& turns = *segment.find<std::atomic<int>>("turns");
        pid_t child = ::fork();
        if (child == 0)
            for (;;) {
                static_cast<void>(build_and_destroy(segment, 1, 1));
                ++turns;
                for (int work = 0; work < 2000; ++work) // as long again without the segment
                    static_cast<void>(turns.load());
            }
        REQUIRE(support::eventually([&] { return turns > 10; }));
        const auto spins = random() % 5000;
        for (unsigned i = 0; i < spins; ++i)
            static_cast<void>(turns.load());
        ::kill(child, SIGKILL);
        REQUIRE(::waitpid(child, nullptr, 0) == child);
        try {
            segment.construct<vector<int>>("after", segment.allocator<int>()).assign(100, 1);
            CHECK(whole(segment));
        } catch (const coproc::broken_segment&) { // in about half of the rounds
        }
    }
}

// What a ShareableList of Python is used for: a list of mixed values in shared memory.
namespace {
using item = std::variant<std::monostate, bool, std::int64_t, double, text>;
using items = vector<item>;
} // namespace

TEST_CASE("a list of mixed values is shared and acts as a local one", "[SHL-001][SHL-002]")
{
    shared_segment segment{size};
    auto& list = segment.construct<items>("list", segment.allocator<item>());
    list.push_back(item{text_in(segment, "grüße")});
    list.push_back(item{3.5});
    list.push_back(item{std::int64_t{42}});
    list.emplace_back();
    list.push_back(item{true});
    auto body = [](shared_segment there) {
        auto& found = *there.find<items>("list");
        if (found.size() != 5 || std::get<text>(found[0]) != "grüße" || std::get<double>(found[1]) != 3.5)
            return 1;
        found[2] = item{std::int64_t{43}};
        found[3] = item{text_in(there, "a text in place of nothing, and longer than any slot")};
        return std::ranges::count(found, item{true}) == 1 ? 0 : 2;
    };
    REQUIRE(in_process(body, segment) == 0);
    CHECK(std::get<std::int64_t>(list[2]) == 43);
    CHECK(std::get<text>(list[3]).size() > 40);
    CHECK(std::ranges::find(list, item{3.5}) - list.begin() == 1);
    CHECK_THROWS_WITH(list.at(5), Catch::Contains("out of range"));
}

TEST_CASE("a value that grows leaves its neighbours as they are", "[SHL-003]")
{
    shared_segment segment{size};
    auto& list = segment.construct<vector<text>>("list", segment.allocator<text>());
    for (int i = 0; i < 3; ++i)
        list.push_back(text_in(segment, "abc"));
    list[1] = "ä, one byte more than it has characters, and far more than before";
    CHECK(list[0] == "abc");
    CHECK(list[2] == "abc");
    CHECK_THROWS_AS(list[1].assign(size, 'x'), std::exception); // more than there is
    CHECK(list[0] == "abc");
    CHECK(list[2] == "abc");
    CHECK(whole(segment));
}

TEST_CASE("a container copied within the segment is independent; a second handle is not", "[SHL-005]")
{
    shared_segment segment{size};
    auto& list = segment.construct<vector<int>>("list", segment.allocator<int>());
    list.assign({1, 2, 3});
    auto& copy = segment.construct<vector<int>>("copy", list);
    auto* again = segment.find<vector<int>>("list");
    list[0] = 10;
    CHECK(copy[0] == 1);
    CHECK(again->front() == 10);
}

TEST_CASE("a segment is gone with its last handle, however it was held")
{
    auto open = open_files(), mapped = mapped_files();
    {
        shared_segment segment{size};
        CHECK(in_process([](shared_segment) { ::kill(::getpid(), SIGKILL); }, segment) == -SIGKILL);
        CHECK(open_files() == open + 1);
    }
    CHECK(open_files() == open);
    CHECK(mapped_files() == mapped);
}
