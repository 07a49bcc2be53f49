#include <catch2/catch.hpp>

#include <coproc/detail/buffer.hpp>

#include <array>
#include <limits>
#include <stdexcept>
#include <string>

using coproc::detail::buffer;

namespace {

// Room for 16 bytes, then for 64, then none.
struct small_storage final : coproc::detail::buffer_storage {
    std::array<std::byte, 16> small;
    std::array<std::byte, 64> large;
    int* grown;

    explicit small_storage(int& count) : grown{&count} {}

    std::byte* grow(std::byte* old, std::size_t used, std::size_t& capacity) override
    {
        ++*grown;
        if (capacity > large.size())
            throw std::bad_alloc{};
        if (capacity <= small.size()) {
            capacity = small.size();
            return small.data();
        }
        capacity = large.size();
        std::copy_n(old, used, large.data());
        return large.data();
    }
};

std::string text_of(const buffer& b) { return {reinterpret_cast<const char*>(b.data()), b.size()}; }

} // namespace

TEST_CASE("an empty buffer has no memory and no storage")
{
    buffer b;
    CHECK(b.empty());
    CHECK(b.capacity() == 0);
    CHECK(b.storage() == nullptr);
    b.append(nullptr, 0);
    CHECK(b.storage() == nullptr);
}

TEST_CASE("appended bytes stay through growth; clear keeps the memory")
{
    buffer b;
    std::string expected;
    for (int i = 0; i < 1000; ++i) {
        const auto word = std::to_string(i);
        b.append(word.data(), word.size());
        expected += word;
    }
    CHECK(text_of(b) == expected);
    const auto capacity = b.capacity();
    b.clear();
    CHECK(b.empty());
    CHECK(b.capacity() == capacity);
}

TEST_CASE("shrinking takes back the last bytes and attachments, and never grows")
{
    buffer b;
    b.append("abcdef", 6);
    b.attachments().push_back({3, nullptr});
    b.attachments().push_back({4, nullptr});
    b.shrink_to(100, 100);
    CHECK(b.size() == 6);
    b.shrink_to(2, 1);
    CHECK(text_of(b) == "ab");
    CHECK(b.attachments().size() == 1);
}

TEST_CASE("a buffer grows through its own storage, and a growth that fails changes nothing")
{
    int grown = 0;
    buffer b{std::make_unique<small_storage>(grown)};
    b.append("0123456789", 10);
    b.append("abcdef", 6);
    CHECK(grown == 1);
    b.append("g", 1);
    CHECK(grown == 2);
    CHECK_THROWS_AS(b.extend(1000), std::bad_alloc);
    CHECK(text_of(b) == "0123456789abcdefg");
}

TEST_CASE("a size that overflows is refused")
{
    buffer b;
    b.append("x", 1);
    CHECK_THROWS_AS(b.extend(std::numeric_limits<std::size_t>::max()), std::length_error);
    CHECK_THROWS_AS(b.extend(std::numeric_limits<std::size_t>::max() - 1), std::bad_alloc);
    CHECK(text_of(b) == "x");
}

TEST_CASE("a moved buffer takes its bytes along and leaves an empty one")
{
    buffer b;
    b.append("abc", 3);
    buffer moved{std::move(b)};
    CHECK(text_of(moved) == "abc");
    CHECK(b.empty());
    b = std::move(moved);
    CHECK(text_of(b) == "abc");
}
