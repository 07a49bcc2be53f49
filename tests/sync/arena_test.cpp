// Where shared objects are, and how their handles travel.
#include "sync/arena.hpp"

#include "os/memory_file.hpp"
#include "support/proc.hpp"
#include "sync/copy_of_this.hpp"

#include <coproc/error.hpp>
#include <coproc/mutex.hpp>
#include <coproc/shared_value.hpp>

#include <catch2/catch.hpp>

#include <array>
#include <cstring>
#include <memory>
#include <set>
#include <vector>

#include <unistd.h>

using namespace coproc;
using namespace coproc::detail;
using tests::copy_of_this;

namespace {

std::size_t pages_here()
{
    std::size_t count = 0;
    for (auto& [inode, name] : support::memory_files_mapped_by(::getpid()))
        count += name.find("coproc objects") != std::string::npos;
    return count;
}

std::shared_ptr<object_place> make(std::size_t size) { return make_object(object_kind::event, size, 0); }

/// A message with a descriptor, as it comes.
struct message {
    buffer bytes;
    std::vector<attachment> attachments;

    explicit message(const auto&... values)
    {
        output_archive out{bytes};
        out(values...);
        attachments = bytes.attachments();
    }
    template <class T>
    T read()
    {
        input_archive in{bytes.data(), bytes.size(), &attachments};
        T value;
        in(value);
        return value;
    }
};

/// A handle's message, made of what it should not be made of.
message forged(std::size_t size, std::uint64_t offset, bool sealed, const void* content = nullptr, std::size_t length = 0)
{
    auto file = std::make_shared<os::descriptor>(os::make_memory_file("forged", size));
    if (content)
        std::memcpy(os::map(*file, size, os::access::read_write).data(), content, length);
    if (sealed)
        os::seal(*file, os::growth::no);
    message result;
    output_archive out{result.bytes};
    out(std::uint8_t{0});
    result.attachments.push_back({file->get(), file});
    out(offset);
    return result;
}

} // namespace

TEST_CASE("objects are zero, apart from each other, and many of them are in one page", "[sync]")
{
    std::vector<std::shared_ptr<object_place>> all;
    std::set<std::byte*> lines;
    for (int i = 0; i < 500; ++i) {
        all.push_back(make(100));
        auto* at = all.back()->at;
        CHECK(reinterpret_cast<std::uintptr_t>(at) % 64 == 0);
        CHECK((lines.insert(at).second && lines.insert(at + 64).second));
        CHECK(std::all_of(at + sizeof(object_header), at + 100, [](std::byte b) { return b == std::byte{0}; }));
        std::memset(at + sizeof(object_header), 0xff, 100 - sizeof(object_header));
    }
    CHECK(pages_here() == 1);
    all.clear();
    CHECK(pages_here() == 0);
}

TEST_CASE("the memory of an object that was never sent is used again, and is zero then", "[sync]")
{
    const auto stays = make(100);
    auto* place = make(100)->at; // gone again
    const auto next = make(100);
    CHECK(next->at == place);
    auto sent = make(100);
    sent->sent = true;
    place = sent->at;
    std::memset(place + sizeof(object_header), 0xff, 84);
    sent = nullptr;
    CHECK(make(100)->at != place);
}

TEST_CASE("a million objects one after another take one page", "[sync]")
{
    const auto stays = make(64);
    const auto descriptors = support::open_descriptors(::getpid()).size();
    for (int i = 0; i < 20'000; ++i)
        static_cast<void>(make(64 * static_cast<std::size_t>(1 + i % 3)));
    CHECK(pages_here() == 1);
    CHECK(support::open_descriptors(::getpid()).size() == descriptors);
}

TEST_CASE("a large object has a file of its own, which goes with it", "[sync]")
{
    auto large = make(1 << 20);
    std::memset(large->at + sizeof(object_header), 1, (1 << 20) - sizeof(object_header));
    CHECK(pages_here() == 1);
    large = nullptr;
    CHECK(pages_here() == 0);
}

TEST_CASE("a handle that comes back is a handle of the same object, at the same place", "[sync]")
{
    mutex m;
    m.lock();
    message sent{m, m};
    CHECK(sent.attachments.size() == 1); // one descriptor for what is in one page
    auto back = sent.read<mutex>();
    CHECK(back == m);
    CHECK(back.locked());
    m.unlock();
    CHECK(pages_here() == 1);
}

TEST_CASE("a handle of another kind or type is refused", "[sync]")
{
    CHECK_THROWS_AS(message{mutex{}}.read<shared_value<int>>(), type_error);
    CHECK_THROWS_AS(message{shared_value<int>{}}.read<mutex>(), type_error);
    CHECK_THROWS_AS(message{shared_value<int>{}}.read<shared_value<float>>(), type_error);
    CHECK_NOTHROW(message{shared_value<int>{}}.read<shared_value<int>>());
}

TEST_CASE("what is no handle is refused, and nothing of it stays", "[sync]")
{
    constexpr std::uint64_t mark = 0x636f70726f632031;
    struct {
        std::uint64_t mark;
        std::array<std::uint64_t, 7> rest{};
        object_header header;
    } page{mark, {}, {static_cast<std::uint32_t>(object_kind::mutex), 192, 0}};
    const auto descriptors = support::open_descriptors(::getpid()).size();

    CHECK_THROWS_AS(forged(4096, 64, true).read<mutex>(), protocol_error);                      // no mark
    CHECK_THROWS_AS(forged(4096, 64, false, &page, sizeof page).read<mutex>(), protocol_error); // it could shrink
    CHECK_THROWS_AS(forged(64, 0, true, &page, 64).read<mutex>(), protocol_error);              // too small for a page
    CHECK_THROWS_AS(forged(128, 64, true, &page, sizeof page).read<mutex>(), protocol_error);   // too small for a mutex
    for (std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{8}, std::uint64_t{65}, std::uint64_t{4096}, std::uint64_t{1} << 40, ~std::uint64_t{63}})
        CHECK_THROWS_AS(forged(4096, offset, true, &page, sizeof page).read<mutex>(), protocol_error);
    CHECK_THROWS_AS(forged(4096, 128, true, &page, sizeof page).read<mutex>(), type_error); // nothing there
    page.header.size = 4096;
    CHECK_THROWS_AS(forged(4096, 64, true, &page, sizeof page).read<mutex>(), protocol_error); // it ends behind the end
    page.header.size = 64;
    CHECK_THROWS_AS(forged(4096, 64, true, &page, sizeof page).read<mutex>(), protocol_error); // not what a mutex is

    CHECK_THROWS_AS(message{}.read<mutex>(), error);
    CHECK_THROWS_AS(message{std::uint8_t{0}}.read<mutex>(), error); // the descriptor is missing
    CHECK_THROWS_AS(message{std::uint8_t{1}}.read<mutex>(), error);
    CHECK(support::open_descriptors(::getpid()).size() == descriptors);
    CHECK(pages_here() == 0);
}

TEST_CASE("a copy of a process makes objects in pages of its own, and sends none that it inherited", "[sync]")
{
    mutex inherited;
    inherited.lock();
    copy_of_this copy{[&] {
        mutex own;
        own.lock();
        if (pages_here() != 2 || !inherited.locked())
            return 1;
        try {
            message{inherited};
            return 2;
        } catch (const usage_error&) {
        }
        message sent{own};
        return sent.read<mutex>() == own ? 5 : 3;
    }};
    CHECK(WEXITSTATUS(copy.end()) == 5);
    inherited.unlock();
}
