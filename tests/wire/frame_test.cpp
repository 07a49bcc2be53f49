// Frames: cut at every byte, put together from any pieces, damaged in every bit.
#include <catch2/catch.hpp>

#include "wire/frame.hpp"

#include <coproc/error.hpp>

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

using namespace coproc::detail;

namespace {

using bytes = std::vector<std::byte>;

struct message {
    frame header;
    bytes body;
};

bool operator==(const message& a, const message& b)
{
    return std::memcmp(&a.header, &b.header, sizeof(frame)) == 0 && a.body == b.body;
}

message make(frame_kind kind, std::size_t size, std::uint64_t number = 0)
{
    message result;
    result.header.kind = kind;
    result.header.size = static_cast<std::uint32_t>(size);
    result.header.number = number;
    for (std::size_t i = 0; i < size; ++i)
        result.body.push_back(static_cast<std::byte>(i * 7 + number));
    return result;
}

bytes bytes_of(const std::vector<message>& messages)
{
    bytes result;
    for (auto& m : messages) {
        auto header = std::as_bytes(std::span{&m.header, 1});
        result.insert(result.end(), header.begin(), header.end());
        result.insert(result.end(), m.body.begin(), m.body.end());
    }
    return result;
}

/// All whole frames after `stream` was put into the reader in pieces of `piece` bytes.
std::vector<message> read(frame_reader& reader, std::span<const std::byte> stream, std::size_t piece)
{
    std::vector<message> result;
    while (!stream.empty()) {
        auto now = stream.first(std::min(piece, stream.size()));
        auto space = reader.space(now.size());
        REQUIRE(space.size() >= now.size());
        std::memcpy(space.data(), now.data(), now.size());
        reader.put(now.size());
        while (auto item = reader.next())
            result.push_back({item->header, {item->body.begin(), item->body.end()}});
        stream = stream.subspan(now.size());
    }
    return result;
}

std::vector<message> conversation()
{
    std::vector<message> result{make(frame_kind::task, 100, 1), make(frame_kind::stop, 0), make(frame_kind::result, 1, 2)};
    auto bulk = make(frame_kind::task, sizeof(bulk_reference), 3);
    bulk.header.flags = frame::bulk;
    bulk.header.descriptors = 1;
    result.push_back(bulk);
    result.push_back(make(frame_kind::forget, 0, 4));
    result.push_back(make(frame_kind::broken, 31, 1));
    result.push_back(make(frame_kind::function, 70, 5));
    auto apart = make(frame_kind::task, 12, 6);
    apart.header.flags = frame::apart;
    result.push_back(apart);
    result.push_back(make(frame_kind::drop, 0, 5));
    return result;
}

} // namespace

TEST_CASE("frames come out as they went in, whatever pieces they arrive in")
{
    const auto sent = conversation();
    const auto stream = bytes_of(sent);
    for (std::size_t piece = 1; piece <= stream.size(); ++piece) {
        frame_reader reader;
        CHECK(read(reader, stream, piece) == sent);
        CHECK(reader.pending() == 0);
    }
}

TEST_CASE("a frame that is not whole is not handed on, at whichever byte it is cut", "[BAD-004]")
{
    const auto sent = conversation();
    const auto stream = bytes_of(sent);
    for (std::size_t cut = 0; cut < stream.size(); ++cut) {
        frame_reader reader;
        auto came = read(reader, std::span{stream}.first(cut), stream.size());
        REQUIRE(came.size() < sent.size());
        CHECK(std::equal(came.begin(), came.end(), sent.begin()));
        CHECK(reader.pending() == cut - bytes_of(came).size());
    }
}

TEST_CASE("a frame of the largest size is whole", "[BAD-007]")
{
    frame_reader reader;
    std::vector<message> sent{make(frame_kind::result, max_body, 1), make(frame_kind::result, 0, 2)};
    CHECK(read(reader, bytes_of(sent), 4096) == sent);
}

TEST_CASE("a frame that announces more than the largest size is refused before memory is taken for it")
{
    for (std::uint32_t size : {static_cast<std::uint32_t>(max_body) + 1, 0x7fffffffu, 0x80000000u, 0xffffffffu}) {
        message bad = make(frame_kind::task, 0);
        bad.header.size = size;
        frame_reader reader;
        CHECK_THROWS_AS(read(reader, bytes_of({bad}), 100), coproc::protocol_error);
        CHECK(reader.space(1).size() < 64 * 1024);
    }
}

TEST_CASE("a frame of unknown kind is refused by name")
{
    for (int kind : {0, 100, 255}) {
        auto bad = make(static_cast<frame_kind>(kind), 0);
        CHECK_THROWS_WITH(check(bad.header), Catch::Contains("unknown kind " + std::to_string(kind)));
    }
}

TEST_CASE("flags and reserved fields that nobody knows are refused")
{
    auto flags = make(frame_kind::task, 0), reserved = flags, other = make(frame_kind::result, 0), empty = make(frame_kind::drop, 0);
    flags.header.flags = frame::retires;
    other.header.flags = frame::apart;
    empty.header.flags = frame::bulk;
    CHECK_THROWS_AS(check(other.header), coproc::protocol_error);
    CHECK_THROWS_AS(check(empty.header), coproc::protocol_error);
    reserved.header.reserved = 1;
    CHECK_THROWS_AS(check(flags.header), coproc::protocol_error);
    CHECK_THROWS_AS(check(reserved.header), coproc::protocol_error);
}

TEST_CASE("a reference to a memory file has exactly its size")
{
    for (std::size_t size : {std::size_t{0}, sizeof(bulk_reference) - 1, sizeof(bulk_reference) + 1, max_body}) {
        auto bad = make(frame_kind::task, size);
        bad.header.flags = frame::bulk;
        CHECK_THROWS_AS(check(bad.header), coproc::protocol_error);
    }
}

TEST_CASE("with any bit flipped the frames are refused or others, and never more bytes than there are")
{
    const auto stream = bytes_of(conversation());
    for (std::size_t bit = 0; bit < 8 * stream.size(); ++bit) {
        auto damaged = stream;
        damaged[bit / 8] ^= std::byte{1} << bit % 8;
        frame_reader reader;
        try {
            auto came = read(reader, damaged, damaged.size());
            CHECK(bytes_of(came).size() + reader.pending() == damaged.size());
        } catch (const coproc::protocol_error&) {
        }
    }
}

TEST_CASE("a reader that is fed for long does not grow beyond what is not read yet")
{
    frame_reader reader;
    const auto stream = bytes_of({make(frame_kind::result, 1000, 1)});
    for (int i = 0; i < 10'000; ++i)
        REQUIRE(read(reader, stream, 300).size() == 1);
    CHECK(reader.space(1).size() <= 16 * 1024);
}

TEST_CASE("frames of random sizes come out of a stream that is cut at random")
{
    std::mt19937 random{12345};
    std::uniform_int_distribution<std::size_t> sizes{0, 3000}, pieces{1, 5000};
    std::vector<message> sent;
    for (std::uint64_t i = 0; i < 300; ++i)
        sent.push_back(make(i % 2 ? frame_kind::result : frame_kind::task, sizes(random), i));
    const auto stream = bytes_of(sent);
    frame_reader reader;
    std::vector<message> came;
    for (std::span<const std::byte> left{stream}; !left.empty();) {
        auto now = left.first(std::min(pieces(random), left.size()));
        for (auto& m : read(reader, now, now.size()))
            came.push_back(m);
        left = left.subspan(now.size());
    }
    CHECK(came == sent);
}
