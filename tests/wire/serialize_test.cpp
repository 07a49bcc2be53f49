#include <catch2/catch.hpp>

#include <coproc/detail/value.hpp>
#include <coproc/error.hpp>

#include "wire/call_here.hpp"
#include "wire/every_type.hpp"

#include <stack>

using namespace wire_test;

namespace {

template <class T>
bytes saved(const T& value)
{
    coproc::detail::buffer buffer;
    coproc::output_archive out{buffer};
    out(value);
    return bytes_of(buffer);
}

template <class T>
T round_trip(const T& value)
{
    const auto message = saved(value);
    coproc::input_archive in{message.data(), message.size()};
    T result{};
    in(result);
    CHECK(in.remaining() == 0);
    return result;
}

node chain(int length)
{
    node first;
    auto* last = &first;
    for (int i = 1; i < length; ++i) {
        last->next = std::make_unique<node>();
        last = last->next.get();
    }
    return first;
}

// A long chain is destroyed by recursion too.
void unchain(node& first)
{
    for (auto next = std::move(first.next); next;)
        next = std::move(next->next);
}

struct base {
    int number = 0;
    virtual ~base() = default;
};

} // namespace

TEST_CASE("every supported type comes back equal")
{
    every_type before, after;
    after = every_type{};
    after.words.clear(), after.doubles.clear(), after.variant = 1, after.some.reset(), after.same.reset();
    const auto message = saved(before);
    coproc::input_archive in{message.data(), message.size()};
    in(after);
    CHECK(in.remaining() == 0);
    CHECK(saved(after) == message);
    CHECK(after.text == before.text);
    CHECK(after.some == before.some);
    CHECK(*after.owned == *before.owned);
    CHECK(*after.shared == "s");
    CHECK(after.same == after.shared); // one object, not two
    CHECK(after.null == nullptr);
}

TEST_CASE("adapters, arrays of arrays and empty containers come back equal")
{
    std::stack<int> stack;
    stack.push(1), stack.push(2);
    CHECK(round_trip(stack) == stack);
    std::queue<std::string> queue;
    queue.push("q");
    CHECK(round_trip(queue) == queue);
    CHECK(round_trip(std::vector<std::array<double, 2>>{{1, 2}, {3, 4}}) == std::vector<std::array<double, 2>>{{1, 2}, {3, 4}});
    CHECK(round_trip(std::vector<int>{}).empty());
    CHECK(round_trip(std::string{}).empty());
    CHECK(round_trip(std::string(1 << 20, 'x')) == std::string(1 << 20, 'x'));
    CHECK(round_trip(std::vector<std::vector<int>>(3)) == std::vector<std::vector<int>>(3));
}

TEST_CASE("a message may begin at any address")
{
    const std::vector<double> numbers{1, 2, 3};
    const auto message = saved(numbers);
    for (std::size_t shift = 0; shift < 8; ++shift) {
        bytes moved(shift);
        moved.insert(moved.end(), message.begin(), message.end());
        coproc::input_archive in{moved.data() + shift, message.size()};
        std::vector<double> result;
        in(result);
        CHECK(result == numbers);
    }
}

TEST_CASE("a vector that is loaded into keeps its memory")
{
    const auto message = saved(std::vector<int>(100, 1));
    std::vector<int> target(200);
    const auto* memory = target.data();
    coproc::input_archive in{message.data(), message.size()};
    in(target);
    CHECK(target == std::vector<int>(100, 1));
    CHECK(target.data() == memory);
}

TEST_CASE("nesting up to a thousand levels works; a hundred times that is a clean error when saving", "[BAD-011]")
{
    auto deep = chain(1000);
    auto copy = value_in<node>(saved(deep));
    CHECK(copy.next != nullptr);
    unchain(copy), unchain(deep);

    auto too_deep = chain(100'000);
    CHECK_THROWS_WITH(saved(too_deep), Catch::Contains("nested deeper than 1000"));
    unchain(too_deep);
}

TEST_CASE("a message nested too deep is refused when loading")
{
    bytes message;
    for (int i = 0; i < 100'000; ++i) {
        const std::byte level[5] = {std::byte{0}, std::byte{0}, std::byte{0}, std::byte{0}, std::byte{1}};
        message.insert(message.end(), std::begin(level), std::end(level)); // a value, then "there is a next one"
    }
    CHECK_THROWS_WITH(value_in<node>(message), Catch::Contains("nested deeper than 1000"));
}

TEST_CASE("a container that announces more elements than can follow is refused before memory is taken")
{
    for (const std::uint64_t count : {std::uint64_t{65537}, std::uint64_t{1} << 40, ~std::uint64_t{0}}) {
        const auto message = saved(count);
        CHECK_THROWS_AS(value_in<std::string>(message), coproc::protocol_error);
        CHECK_THROWS_AS(value_in<std::vector<double>>(message), coproc::protocol_error);
        CHECK_THROWS_AS(value_in<std::vector<std::string>>(message), coproc::protocol_error);
        CHECK_THROWS_AS((value_in<std::map<int, int>>(message)), coproc::protocol_error);
        CHECK_THROWS_AS(value_in<std::list<point>>(message), coproc::protocol_error);
    }
}

TEST_CASE("elements without bytes are counted, not weighed")
{
    struct nothing {};
    CHECK(round_trip(std::vector<nothing>(1000)).size() == 1000);
}

TEST_CASE("a byte that is no bool is refused")
{
    const bytes message{std::byte{2}, std::byte{1}};
    CHECK_THROWS_AS(value_in<bool>(message), coproc::protocol_error);
    CHECK_THROWS_AS((value_in<std::array<bool, 2>>(message)), coproc::protocol_error);
}

TEST_CASE("a shared object is not taken for one of another type")
{
    using pair = std::pair<std::shared_ptr<std::string>, std::shared_ptr<std::vector<int>>>;
    auto message = saved(pair{std::make_shared<std::string>("s"), nullptr});
    message[message.size() - 4] = std::byte{1}; // the second pointer now means the first object
    CHECK_THROWS_AS(value_in<pair>(message), coproc::protocol_error);
}

TEST_CASE("one object shared by two values of a message is two objects there, as each value stands for itself")
{
    const auto shared = std::make_shared<int>(5);
    coproc::detail::buffer buffer;
    coproc::output_archive out{buffer};
    coproc::detail::save_value(out, shared);
    coproc::detail::save_value(out, shared);
    coproc::input_archive in{buffer.data(), buffer.size()};
    std::shared_ptr<int> first, second;
    coproc::detail::load_value(in, first);
    coproc::detail::load_value(in, second);
    CHECK(*first == 5);
    CHECK(*second == 5);
    CHECK(first != second);
}

TEST_CASE("descriptors are taken in the order in which they were attached, and no more than came")
{
    coproc::detail::buffer buffer;
    coproc::output_archive out{buffer};
    out.attach({3, nullptr});
    out.attach({4, nullptr});
    coproc::input_archive in{buffer.data(), buffer.size(), &buffer.attachments()};
    CHECK(in.take_attachment().descriptor == 3);
    CHECK(in.take_attachment().descriptor == 4);
    CHECK_THROWS_AS(in.take_attachment(), coproc::protocol_error);
    coproc::input_archive without{buffer.data(), buffer.size()};
    CHECK_THROWS_AS(without.take_attachment(), coproc::protocol_error);
}
