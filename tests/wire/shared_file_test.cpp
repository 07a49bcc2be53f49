// Memory files that processes share, sent through the bytes and descriptors of messages.
#include <catch2/catch.hpp>

#include "os/descriptor.hpp"
#include "os/memory_file.hpp"
#include "support/injection.hpp"
#include "support/leak_check.hpp"
#include "support/proc.hpp"
#include "wire/sent_file.hpp"

#include <coproc/detail/large_buffer.hpp>
#include <coproc/detail/shared_file.hpp>
#include <coproc/error.hpp>

#include <cerrno>
#include <cstdint>
#include <fcntl.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>
#include <vector>

using namespace coproc::detail;
using namespace wire_test;
namespace os = coproc::os;

namespace {

/// A message with this descriptor where a shared file should be.
arrived with_descriptor(os::descriptor descriptor)
{
    buffer message;
    coproc::output_archive out{message};
    out(std::uint8_t{0});
    auto keep = std::make_shared<os::descriptor>(std::move(descriptor));
    out.attach({keep->get(), keep});
    return arrived{message};
}

os::descriptor memory(std::size_t size, bool sealed)
{
    auto file = os::make_memory_file("coproc test", size);
    if (sealed)
        os::seal(file, os::growth::no);
    return file;
}

std::size_t descriptors() { return support::open_descriptors(::getpid()).size(); }

} // namespace

TEST_CASE("a new shared file is all zero and has the size that was asked for")
{
    auto file = some_file(3 * page + 1);
    CHECK(file->size() == 3 * page + 1);
    for (std::size_t i = 0; i < file->size(); ++i)
        REQUIRE(file->data()[i] == std::byte{0});
    CHECK(file->is_ours());
}

TEST_CASE("a file that comes back is the one that is there, mapped once")
{
    auto file = some_file();
    auto before = descriptors();
    auto back = loaded(sent(file));
    CHECK(back == file);
    CHECK(loaded(sent(back)) == file);
    CHECK(descriptors() == before);
}

TEST_CASE("a file that was dropped meanwhile is mapped anew, with what is in it")
{
    auto file = some_file();
    file->data()[7] = std::byte{42};
    auto message = sent(file);
    file.reset();
    CHECK(mappings() == 0);
    auto back = loaded(std::move(message));
    CHECK(back->size() == page);
    CHECK(back->data()[7] == std::byte{42});
}

TEST_CASE("the same file several times in a message needs one descriptor, different ones have their own")
{
    auto a = some_file(), b = some_file();
    auto message = sent(a, a, b, b, a);
    CHECK(message.attachments.size() == 3);
    auto in = message.archive();
    for (auto& expected : {a, a, b, b, a})
        CHECK(load_file(in, page) == expected);
    CHECK(in.remaining() == 0);
}

TEST_CASE("what is no memory that stays is refused: it could be a file, empty, or shrink under a reader")
{
    CHECK_THROWS_AS(loaded(with_descriptor(os::open_file("/dev/null", O_RDWR))), coproc::protocol_error);
    CHECK_THROWS_AS(loaded(with_descriptor(os::make_pipe().first)), coproc::protocol_error);
    CHECK_THROWS_AS(loaded(with_descriptor(memory(0, true))), coproc::protocol_error);
    CHECK_THROWS_AS(loaded(with_descriptor(memory(page, false))), coproc::protocol_error);
    CHECK(loaded(with_descriptor(memory(page, true)))->size() == page);
}

TEST_CASE("memory that is too small for what should be in it is refused, whether it is known here or not")
{
    auto file = some_file();
    CHECK_THROWS_AS(loaded(sent(file), page + 1), coproc::protocol_error);
    CHECK_THROWS_AS(loaded(with_descriptor(memory(page, true)), page + 1), coproc::protocol_error);
    CHECK(loaded(sent(file), page) == file);
}

TEST_CASE("a message without the descriptor that it speaks of is refused")
{
    auto message = sent(some_file());
    message.attachments.clear();
    CHECK_THROWS_AS(loaded(std::move(message)), coproc::protocol_error);
    buffer again;
    coproc::output_archive out{again};
    out(std::uint8_t{1}); // "the same as before", where none was
    CHECK_THROWS_AS(loaded(arrived{again}), coproc::protocol_error);
}

TEST_CASE("in a forked copy of the process the memory is shared, but the handle can't be sent")
{
    auto file = some_file();
    pid_t child = ::fork();
    if (child == 0) {
        file->data()[0] = std::byte{1};
        int code = file->is_ours() ? 2 : 0;
        try {
            (void)sent(file);
            code |= 1;
        } catch (const coproc::usage_error&) {
        }
        auto own = some_file(); // new ones are its own
        code |= loaded(sent(own)) == own ? 0 : 4;
        ::_exit(code);
    }
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    CHECK(file->data()[0] == std::byte{1});
}

TEST_CASE("dropping an inherited file in a forked copy closes no descriptor that is another one's by now")
{
    auto file = some_file();
    int number = file->descriptor().descriptor;
    pid_t child = ::fork();
    if (child == 0) {
        ::close(number); // as a forked process closes what its parent owned
        if (::fcntl(STDOUT_FILENO, F_DUPFD, number) != number)
            ::_exit(2);
        file.reset();
        ::_exit(::fcntl(number, F_GETFD) < 0 ? 1 : 0);
    }
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
}

TEST_CASE("descriptor and mapping are gone with the last holder",)
{
    auto descriptors_before = descriptors();
    auto file = some_file();
    auto copy = loaded(sent(file));
    CHECK(mappings() == 1);
    file.reset();
    CHECK(mappings() == 1);
    copy.reset();
    CHECK(mappings() == 0);
    CHECK(descriptors() == descriptors_before);
}

TEST_CASE("a size that no memory of this machine has is refused at once", "[SHM-019]")
{
    for (std::size_t size : {std::size_t{1} << 50, ~std::size_t{0}, ~std::size_t{0} - page}) {
        try {
            (void)some_file(size);
            FAIL("it was made");
        } catch (const std::system_error& e) {
            CHECK(e.code().value() == ENOMEM);
        }
    }
}

TEST_CASE("when a shared file can't be made, sized or mapped, the error says so and nothing is left")
{
    auto before = descriptors();
    for (auto [which, error] : {std::pair{os::call::make_memory_file, EMFILE}, {os::call::resize, ENOSPC}, {os::call::map, ENOMEM}}) {
        support::injection injected{support::injection::fails(which, error)};
        try {
            (void)some_file();
            FAIL("it was made");
        } catch (const std::system_error& e) {
            CHECK(e.code().value() == error);
        }
    }
    CHECK(descriptors() == before);
    auto file = some_file();
    auto message = sent(file);
    file.reset();
    support::injection injected{support::injection::fails(os::call::map, ENOMEM)};
    CHECK_THROWS_AS(loaded(std::move(message)), std::system_error);
}
