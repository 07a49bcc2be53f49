// Packets that carry descriptors.
#include "os/packet.hpp"
#include "support/injection.hpp"
#include "support/proc.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace coproc;

namespace {

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span{text.data(), text.size()}); }

ino_t inode_of(int number)
{
    struct stat status{};
    REQUIRE(::fstat(number, &status) == 0);
    return status.st_ino;
}

// Lowers the number of descriptors that this process may have, until it ends.
class descriptor_limit {
public:
    explicit descriptor_limit(rlim_t most)
    {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        rlimit now = before_;
        now.rlim_cur = most;
        ::setrlimit(RLIMIT_NOFILE, &now);
    }
    ~descriptor_limit() { ::setrlimit(RLIMIT_NOFILE, &before_); }

private:
    rlimit before_{};
};

int lowest_free()
{
    const int number = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    ::close(number);
    return number;
}

int error_of_receive(int socket, std::span<std::byte> to)
{
    try {
        static_cast<void>(os::receive_packet(socket, to, os::wait::no));
    } catch (const std::system_error& e) {
        return e.code().value();
    }
    return 0;
}

} // namespace

TEST_CASE("a packet arrives whole, with its bytes and descriptors in order", "[os]")
{
    const int asked = GENERATE(0, 1, 2, 64, 252, 253);
    const int count = std::min(asked, (support::descriptor_limit() - 50) / 3); // here, on the way's ends, and received
    const auto pair = os::make_packet_pair();
    std::vector<os::descriptor> owned;
    std::vector<int> numbers;
    for (int i = 0; i < count; ++i) {
        owned.push_back(i % 2 ? os::make_pipe().first : os::make_event());
        numbers.push_back(owned.back().get());
    }
    REQUIRE(os::send_packet(pair.first.get(), bytes_of("hello"), numbers) == os::sent::yes);
    std::array<std::byte, 64> to{};
    const auto packet = os::receive_packet(pair.second.get(), to, os::wait::yes);
    CHECK(packet.what == os::received::packet);
    CHECK(std::string(reinterpret_cast<char*>(to.data()), packet.size) == "hello");
    REQUIRE(packet.descriptors.size() == numbers.size());
    for (std::size_t i = 0; i < numbers.size(); ++i)
        CHECK(inode_of(packet.descriptors[i].get()) == inode_of(numbers[i]));
}

TEST_CASE("more descriptors than the kernel passes are refused before anything is sent", "[os]")
{
    const auto pair = os::make_packet_pair();
    const std::vector<int> numbers(os::max_descriptors + 1, pair.first.get());
    CHECK_THROWS_AS(os::send_packet(pair.first.get(), bytes_of("x"), numbers), std::system_error);
    std::array<std::byte, 8> to{};
    CHECK(os::receive_packet(pair.second.get(), to, os::wait::no).what == os::received::would_block);
}

TEST_CASE("packets keep their boundaries", "[os]")
{
    const auto pair = os::make_packet_pair();
    for (const char* text : {"one", "three", "five"})
        REQUIRE(os::send_packet(pair.first.get(), bytes_of(text), {}) == os::sent::yes);
    std::array<std::byte, 64> to{};
    for (std::size_t size : {3u, 5u, 4u})
        CHECK(os::receive_packet(pair.second.get(), to, os::wait::no).size == size);
}

TEST_CASE("a packet that is larger than its place is an error, its descriptors are closed and the next one arrives", "[os]")
{
    const auto pair = os::make_packet_pair();
    const int number = pair.first.get();
    REQUIRE(os::send_packet(pair.first.get(), bytes_of("too long for four"), {&number, 1}) == os::sent::yes);
    REQUIRE(os::send_packet(pair.first.get(), bytes_of("next"), {}) == os::sent::yes);
    const std::size_t before = support::open_descriptors(::getpid()).size();
    std::array<std::byte, 4> to{};
    CHECK(error_of_receive(pair.second.get(), to) == EMSGSIZE);
    CHECK(support::open_descriptors(::getpid()).size() == before);
    CHECK(os::receive_packet(pair.second.get(), to, os::wait::no).size == 4);
}

TEST_CASE("descriptors that don't fit into this process are EMFILE, none is kept and the next packet arrives", "[os]")
{
    const int room = GENERATE(0, 1, 2);
    const auto pair = os::make_packet_pair();
    const std::vector<int> numbers(3, pair.first.get());
    REQUIRE(os::send_packet(pair.first.get(), bytes_of("x"), numbers) == os::sent::yes);
    REQUIRE(os::send_packet(pair.first.get(), bytes_of("y"), numbers) == os::sent::yes);
    const auto before = support::open_descriptors(::getpid());
    std::array<std::byte, 4> to{};
    {
        // Numbers are dense here: nothing above the lowest free one is open.
        descriptor_limit limit{static_cast<rlim_t>(lowest_free() + room)};
        CHECK(error_of_receive(pair.second.get(), to) == EMFILE);
    }
    CHECK(support::open_descriptors(::getpid()) == before);
    CHECK(os::receive_packet(pair.second.get(), to, os::wait::no).descriptors.size() == 3);
}

TEST_CASE("the end of the other side is an end, for who reads and for who writes", "[os]")
{
    auto pair = os::make_packet_pair();
    REQUIRE(os::send_packet(pair.first.get(), bytes_of("last"), {}) == os::sent::yes);
    pair.first.reset();
    std::array<std::byte, 8> to{};
    CHECK(os::receive_packet(pair.second.get(), to, os::wait::yes).size == 4);
    CHECK(os::receive_packet(pair.second.get(), to, os::wait::yes).what == os::received::end);
    CHECK(os::send_packet(pair.second.get(), bytes_of("x"), {}) == os::sent::nobody_listens);
    CHECK_FALSE(os::send_packet_blocking(pair.second.get(), bytes_of("x"), {}));
}

TEST_CASE("a peer that dies with unread packets is an end, not an error", "[os]")
{
    auto pair = os::make_packet_pair();
    REQUIRE(os::send_packet(pair.second.get(), bytes_of("unread"), {}) == os::sent::yes);
    pair.first.reset(); // the kernel says ECONNRESET now
    std::array<std::byte, 8> to{};
    CHECK(os::receive_packet(pair.second.get(), to, os::wait::no).what == os::received::end);
}

TEST_CASE("what a peer sent before it ended with unread packets is not lost", "[os]")
{
    auto pair = os::make_packet_pair();
    REQUIRE(os::send_packet(pair.second.get(), bytes_of("unread"), {}) == os::sent::yes);
    const int number = pair.second.get();
    REQUIRE(os::send_packet(pair.first.get(), bytes_of("answer"), {&number, 1}) == os::sent::yes);
    pair.first.reset();
    std::array<std::byte, 8> to{};
    const auto packet = os::receive_packet(pair.second.get(), to, os::wait::no);
    CHECK(packet.size == 6);
    CHECK(packet.descriptors.size() == 1);
    CHECK(os::receive_packet(pair.second.get(), to, os::wait::no).what == os::received::end);
}

TEST_CASE("a full socket would block, and takes the packet once there is room", "[os]")
{
    const auto pair = os::make_packet_pair();
    const std::string text(8192, 'x');
    int count = 0;
    while (os::send_packet(pair.first.get(), bytes_of(text), {}) == os::sent::yes)
        ++count;
    CHECK(count > 0);
    std::vector<std::byte> to(text.size());
    for (int i = 0; i < count; ++i)
        CHECK(os::receive_packet(pair.second.get(), to, os::wait::no).size == text.size());
    CHECK(os::send_packet(pair.first.get(), bytes_of(text), {}) == os::sent::yes);
}

TEST_CASE("interruptions and failures of the packet calls", "[os]")
{
    const auto pair = os::make_packet_pair();
    std::array<std::byte, 8> to{};
    SECTION("an interrupted send and receive are made again")
    {
        support::injection both{[n = 0](os::call) mutable { return os::verdict{n++ % 3 != 2 ? EINTR : 0, SIZE_MAX}; }};
        CHECK(os::send_packet(pair.first.get(), bytes_of("x"), {}) == os::sent::yes);
        CHECK(os::receive_packet(pair.second.get(), to, os::wait::yes).size == 1);
    }
    SECTION("no memory is a system_error, and the packet is still there afterwards")
    {
        REQUIRE(os::send_packet(pair.first.get(), bytes_of("x"), {}) == os::sent::yes);
        {
            support::injection one{support::injection::fails(os::call::receive_message, ENOMEM)};
            CHECK(error_of_receive(pair.second.get(), to) == ENOMEM);
        }
        CHECK(os::receive_packet(pair.second.get(), to, os::wait::yes).size == 1);
    }
    SECTION("ENOBUFS at a send is a system_error")
    {
        support::injection one{support::injection::fails(os::call::send_message, ENOBUFS)};
        CHECK_THROWS_AS(os::send_packet(pair.first.get(), bytes_of("x"), {}), std::system_error);
    }
    SECTION("a send that would block for a while is made when there is room")
    {
        support::injection one{support::injection::fails(os::call::send_message, EAGAIN, 2)};
        CHECK(os::send_packet_blocking(pair.first.get(), bytes_of("x"), {}));
    }
}

TEST_CASE("a closed descriptor is refused at the sender", "[os]")
{
    const auto pair = os::make_packet_pair();
    const int closed = lowest_free();
    CHECK_THROWS_AS(os::send_packet(pair.first.get(), bytes_of("x"), {&closed, 1}), std::system_error);
}
