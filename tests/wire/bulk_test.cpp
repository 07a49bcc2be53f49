// Large messages in memory files, from one end of a channel to the other in this process.
#include <catch2/catch.hpp>

#include "os/memory_file.hpp"
#include "support/proc.hpp"
#include "wire/bulk.hpp"

#include <coproc/error.hpp>

#include <algorithm>
#include <cstring>
#include <unistd.h>

using namespace coproc::detail;
namespace os = coproc::os;

namespace {

constexpr std::size_t large = 1 << 20;

void fill(buffer& message, std::size_t size, int value)
{
    message.clear();
    std::memset(message.extend(size), value, size);
}

bool all(std::span<const std::byte> bytes, int value)
{
    return std::ranges::all_of(bytes, [&](std::byte b) { return b == static_cast<std::byte>(value); });
}

/// What the other side of a channel sees.
std::span<const std::byte> pass(bulk_receiver& to, bulk_sender::reference& from)
{
    std::optional<os::descriptor> file;
    if (from.file)
        file = std::move(from.file);
    return to.open(from.what, std::move(file));
}

std::size_t message_files()
{
    std::size_t count = 0;
    for (auto& [number, target] : support::open_descriptors(getpid()))
        count += target.find("coproc message") != std::string::npos;
    return count;
}

} // namespace

TEST_CASE("a large message is read where it was written")
{
    bulk_sender sender;
    bulk_receiver receiver;
    buffer message = make_message();
    fill(message, large, 'x');
    auto reference = sender.place(message);
    CHECK(reference.what.size == large);
    CHECK(reference.keep->bytes.data() == message.data()); // not copied
    auto seen = pass(receiver, reference);
    CHECK(seen.size() == large);
    CHECK(all(seen, 'x'));
}

TEST_CASE("a message on the heap is copied to a memory file")
{
    bulk_sender sender;
    bulk_receiver receiver;
    buffer message;
    fill(message, large, 'y');
    auto reference = sender.place(message);
    CHECK(all(pass(receiver, reference), 'y'));
}

TEST_CASE("a file that the reader knows is not sent again")
{
    bulk_sender sender;
    bulk_receiver receiver;
    buffer message = make_message();
    for (int i = 0; i < 5; ++i) {
        fill(message, large, 'a' + i);
        auto reference = sender.place(message);
        CHECK((reference.what.is_new == 1) == (i == 0));
        CHECK(all(pass(receiver, reference), 'a' + i));
    }
}

TEST_CASE("a file that has grown is sent again")
{
    bulk_sender sender;
    bulk_receiver receiver;
    buffer message = make_message();
    fill(message, large, 'a');
    auto first = sender.place(message);
    static_cast<void>(pass(receiver, first));
    fill(message, 8 * large, 'b');
    auto second = sender.place(message);
    CHECK(second.what.is_new == 1);
    auto seen = pass(receiver, second);
    CHECK(seen.size() == 8 * large);
    CHECK(all(seen, 'b'));
}

TEST_CASE("what a message held is used for the next one")
{
    static_cast<void>(make_message());
    const std::byte* place = nullptr;
    {
        buffer message = make_message();
        fill(message, large, 'a');
        place = message.data();
    }
    buffer message = make_message();
    fill(message, large, 'b');
    CHECK(message.data() == place);
}

TEST_CASE("a message that is kept is not overwritten by the next one")
{
    bulk_sender sender;
    bulk_receiver receiver;
    buffer message = make_message();
    fill(message, large, 'a');
    auto kept = sender.place(message);
    auto seen = pass(receiver, kept);
    message = make_message();
    fill(message, large, 'b');
    CHECK(all(seen, 'a'));
}

TEST_CASE("files that nobody uses are kept up to a limit")
{
    constexpr std::size_t limit = 64 << 20;
    {
        std::vector<std::shared_ptr<bulk_file>> files;
        for (int i = 0; i < 20; ++i)
            files.push_back(acquire_bulk(8 << 20));
    }
    CHECK(idle_bulk_bytes() <= limit);
    CHECK(message_files() <= limit / (8 << 20));
    static_cast<void>(acquire_bulk(2 * limit));
    CHECK(message_files() == 1); // the last one, however large
}

TEST_CASE("the reader is told to forget files that are gone")
{
    bulk_sender sender;
    bulk_receiver receiver;
    std::uint64_t number = 0;
    {
        buffer message = make_message();
        fill(message, large, 'a');
        auto reference = sender.place(message);
        static_cast<void>(pass(receiver, reference));
        number = reference.what.file;
        CHECK(sender.gone().empty());
    }
    CHECK(sender.gone().empty()); // idle, not gone
    static_cast<void>(acquire_bulk(200 << 20)); // drops all others
    CHECK(sender.gone() == std::vector{number});
    CHECK(sender.gone().empty());
    receiver.forget(number);
    CHECK_THROWS_AS(receiver.open({number, 1, 0}, {}), coproc::protocol_error);
}

TEST_CASE("a reference to a file that was never sent is refused")
{
    bulk_receiver receiver;
    CHECK_THROWS_AS(receiver.open({1, 10, 1}, {}), coproc::protocol_error);
}

namespace {

os::descriptor sealed_file(std::size_t size)
{
    auto file = os::make_memory_file("sealed", size);
    os::seal(file, os::growth::yes);
    return file;
}

} // namespace

TEST_CASE("a file that its sender could cut short is refused")
{
    bulk_receiver receiver;
    CHECK_THROWS_AS(receiver.open({1, 10, 1}, os::make_memory_file("open", 4096)), coproc::protocol_error);
    auto file = sealed_file(4096);
    CHECK_THROWS_AS(os::resize(file, 0), std::system_error);
    os::resize(file, 8192);
    CHECK(receiver.open({1, 8192, 1}, std::move(file)).size() == 8192);
}

TEST_CASE("a message that is longer than its file is refused, and not read beyond its end")
{
    bulk_receiver receiver;
    for (std::uint64_t size : {4097ul, 1ul << 32, ~0ul}) {
        CHECK_THROWS_AS(receiver.open({1, size, 1}, sealed_file(4096)), coproc::protocol_error);
        CHECK_THROWS_AS(receiver.open({1, size, 0}, {}), coproc::protocol_error);
    }
    CHECK(receiver.open({1, 4096, 0}, {}).size() == 4096);
}

TEST_CASE("an empty file holds an empty message")
{
    bulk_receiver receiver;
    CHECK(receiver.open({1, 0, 1}, sealed_file(0)).empty());
    CHECK_THROWS_AS(receiver.open({1, 1, 0}, {}), coproc::protocol_error);
}

TEST_CASE("a descriptor that is no memory file is an error")
{
    bulk_receiver receiver;
    auto pipe = os::make_pipe();
    CHECK_THROWS(receiver.open({1, 10, 1}, std::move(pipe.first)));
}

TEST_CASE("a reader can't write into the file that it is given")
{
    bulk_sender sender;
    buffer message = make_message();
    fill(message, large, 'a');
    auto reference = sender.place(message);
    CHECK_THROWS_AS(os::map(reference.file, large, os::access::read_write), std::system_error);
}
