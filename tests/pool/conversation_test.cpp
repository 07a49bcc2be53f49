// A worker and a pool that are told nonsense: every bit of what the pool says to a worker, and of what a worker answers.
#include "pool/tasks.hpp"
#include "wire/call_here.hpp"

#include "os/descriptor.hpp"
#include "os/memory_file.hpp"
#include "os/packet.hpp"
#include "pool/worker_page.hpp"
#include "pool/worker_setup.hpp"
#include "wire/bulk.hpp"
#include "wire/frame.hpp"

#include <coproc/error.hpp>

#include <atomic>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>
#include <unistd.h>
#include <vector>

using namespace coproc::detail;
using namespace pool_test;
namespace os = coproc::os;

namespace {

using bytes = std::vector<std::byte>;

void append(bytes& to, const void* from, std::size_t size)
{
    auto before = to.size();
    to.resize(before + size);
    if (size != 0)
        std::memcpy(to.data() + before, from, size);
}
void append(bytes& to, frame header, const bytes& body)
{
    header.size = static_cast<std::uint32_t>(body.size());
    append(to, &header, sizeof header);
    append(to, body.data(), body.size());
}

std::string repeat(const std::string& text, int times)
{
    std::string result;
    for (int i = 0; i < times; ++i)
        result += text;
    return result;
}

/// The two parts of a message whose function goes apart.
bytes function_of_repeat()
{
    buffer body;
    coproc::output_archive out{body};
    encode_task_function<decltype(&repeat), std::string, int>(out, &repeat);
    return {body.data(), body.data() + body.size()};
}
bytes call_of_repeat(std::uint64_t function, const std::string& text, int times)
{
    buffer body;
    coproc::output_archive out{body};
    out.save_binary(&function, sizeof function);
    encode_arguments(out, &repeat, text, times);
    return {body.data(), body.data() + body.size()};
}

/// What a pool writes to a worker: three tasks, the second one in a memory file, the third one with its function apart, and
/// a release, a forget and a drop.
struct conversation {
    bytes stream;
    bulk_sender sender;
    std::shared_ptr<bulk_file> keep;
    os::descriptor file;

    conversation()
    {
        task(1, wire_test::message_of(&add, 1, 2), 1);
        auto large = wire_test::message_of(&repeat, std::string(1000, 'x'), 3);
        buffer message;
        message.append(large.data(), large.size());
        auto placed = sender.place(message);
        file = std::move(placed.file);
        keep = std::move(placed.keep);
        bytes body;
        append(body, &placed.what, sizeof placed.what);
        frame header;
        header.kind = frame_kind::task;
        header.flags = frame::bulk;
        header.descriptors = 1;
        header.number = 2;
        header.count = 1;
        append(stream, header, body);
        for (auto kind : {frame_kind::release, frame_kind::forget})
            say(kind, keep->id, {});
        say(frame_kind::function, 9, function_of_repeat());
        task(3, call_of_repeat(9, "y", 2), 1, frame::apart);
        say(frame_kind::drop, 9, {});
    }
    void say(frame_kind kind, std::uint64_t number, const bytes& body)
    {
        frame header;
        header.kind = kind;
        header.number = number;
        append(stream, header, body);
    }
    void task(std::uint64_t number, const bytes& body, std::uint32_t count, std::uint8_t flags = 0)
    {
        frame header;
        header.kind = frame_kind::task;
        header.flags = flags;
        header.number = number;
        header.count = count;
        append(stream, header, body);
    }
};

/// Runs a worker, in this process, that reads `stream` to its end. Returns its answers.
std::vector<frame> answers_to(const bytes& stream, const os::descriptor& file)
{
    auto pipe = os::make_pipe();
    auto sockets = os::make_packet_pair();
    worker_page page;
    for (std::uint64_t number = 1; number <= 3; ++number)
        page.queue(number);
    const std::byte nothing[1]{};
    int number = file.get();
    REQUIRE(os::send_packet(sockets.first.get(), nothing, {&number, 1}) == os::sent::yes);
    sockets.first.reset();
    REQUIRE(::write(pipe.second.get(), stream.data(), stream.size()) == static_cast<ssize_t>(stream.size()));
    pipe.second.reset();

    worker_setup setup;
    setup.tasks = std::make_shared<os::descriptor>(std::move(pipe.first));
    setup.descriptors = std::make_shared<os::descriptor>(std::move(sockets.second));
    setup.doorbell = std::make_shared<os::descriptor>(os::make_event());
    setup.attention = std::make_shared<os::descriptor>(os::make_event());
    setup.page = std::make_shared<os::descriptor>(page.file().duplicate());
    worker_main(std::move(setup));

    std::vector<frame> result;
    frame_reader reader;
    while (page.available() > 0)
        reader.put(page.read(reader.space()));
    while (auto item = reader.next())
        result.push_back(item->header);
    CHECK(reader.pending() == 0);
    return result;
}

/// A worker says on standard error what it did not like.
class silence {
public:
    silence() : kept_{::dup(2)}
    {
        int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
        ::dup2(null, 2);
        ::close(null);
    }
    ~silence()
    {
        ::dup2(kept_, 2);
        ::close(kept_);
    }

private:
    int kept_;
};

/// This worker's own ring, from within a task: found among the mappings, as the library hides it.
struct own_ring {
    std::atomic<std::uint64_t>* written = nullptr;
    std::byte* ring = nullptr;

    own_ring()
    {
        std::byte* base = nullptr;
        std::ifstream maps{"/proc/self/maps"};
        for (std::string line; !base && std::getline(maps, line);)
            if (line.find("coproc worker") != std::string::npos)
                base = reinterpret_cast<std::byte*>(std::stoull(line, nullptr, 16));
        // Where things are is learned from a page of our own.
        worker_page sample;
        auto size = os::size_of(sample.file());
        auto shown = os::map(sample.file(), size, os::access::read_write);
        auto bell = os::make_event();
        bytes pattern(40, std::byte{0xa7});
        sample.write(pattern, {}, bell);
        for (std::size_t at = 0; at + 8 <= size && !(written && ring); ++at) {
            std::uint64_t word = 0;
            std::memcpy(&word, shown.data() + at, 8);
            if (!written && at % 8 == 0 && word == 40)
                written = reinterpret_cast<std::atomic<std::uint64_t>*>(base + at);
            if (!ring && word == 0xa7a7a7a7a7a7a7a7u)
                ring = base + at;
        }
        if (!base || !written || !ring)
            throw std::runtime_error{"no ring found"};
    }
    void forge(const bytes& what)
    {
        auto at = written->load();
        for (std::size_t i = 0; i < what.size(); ++i)
            ring[(at + i) % ring_size] = what[i];
        written->store(at + what.size());
    }
};

/// An answer to the worker's first task, with one bit flipped.
int answer_with_flipped_bit(int bit)
{
    frame header;
    header.kind = frame_kind::result;
    header.number = 1;
    header.count = 1;
    bytes answer;
    append(answer, header, bytes(4));
    answer[static_cast<std::size_t>(bit) / 8] ^= std::byte{1} << bit % 8;
    own_ring{}.forge(answer);
    return 1;
}

int answer_nonsense(int which)
{
    own_ring ring;
    frame header;
    header.kind = frame_kind::result;
    header.number = 1;
    header.count = 1;
    bytes answer;
    switch (which) {
    case 0: ring.written->store(~std::uint64_t{0}); break;
    case 1: ring.written->fetch_add(ring_size + 1); break;
    case 2: ring.forge(bytes(1000, std::byte{0xff})); break;
    case 3: // a file that was never sent
        header.flags = frame::bulk;
        append(answer, header, bytes(sizeof(bulk_reference)));
        ring.forge(answer);
        break;
    case 4: // descriptors that were never sent
        header.descriptors = 3;
        append(answer, header, bytes(4));
        ring.forge(answer);
        break;
    case 5: // a result that is too short
        append(answer, header, bytes(1));
        ring.forge(answer);
        break;
    case 6: // an exception that is none
        header.kind = frame_kind::failure;
        append(answer, header, bytes(50, std::byte{0xee}));
        ring.forge(answer);
        break;
    case 7: // a task that it does not have
        header.number = 77;
        append(answer, header, bytes(4));
        ring.forge(answer);
        break;
    default: // the tale of a broken initializer, untold
        header.kind = frame_kind::broken;
        header.number = 1;
        append(answer, header, bytes(50, std::byte{0xee}));
        ring.forge(answer);
    }
    return 1;
}

/// Items that it should not send, to the worker's first task.
coproc::stream<int> nonsense_items(int which)
{
    co_yield 1;
    own_ring ring;
    frame header;
    header.kind = frame_kind::item;
    header.number = 1;
    header.time = 1;
    bytes answer;
    switch (which) {
    case 0: // more than it may
        for (; header.time <= 8; ++header.time)
            append(answer, header, bytes(4));
        break;
    case 1: // the next but one
        header.time = 2;
        append(answer, header, bytes(4));
        break;
    case 2: // too short a one
        append(answer, header, bytes(1));
        break;
    case 3: // of another task
        header.number = 7;
        append(answer, header, bytes(4));
        break;
    case 4: // in a file that was never sent
        header.flags = frame::bulk;
        append(answer, header, bytes(sizeof(bulk_reference)));
        break;
    default: // with descriptors that were never sent
        header.descriptors = 2;
        append(answer, header, bytes(4));
    }
    ring.forge(answer);
    co_yield 2;
}
/// A plain task that says it has items, or reports nonsense.
int says_in_between(int kind)
{
    frame header;
    header.kind = static_cast<frame_kind>(kind);
    header.number = 1;
    bytes answer;
    append(answer, header, bytes(4));
    own_ring{}.forge(answer);
    return 1;
}
coproc::stream<int> item_with_flipped_bit(int bit)
{
    frame header;
    header.kind = frame_kind::item;
    header.number = 1;
    bytes answer;
    append(answer, header, bytes(4));
    answer[static_cast<std::size_t>(bit) / 8] ^= std::byte{1} << bit % 8;
    own_ring{}.forge(answer);
    co_yield 1;
}
coproc::task<> ignore(coproc::task<int> result) { static_cast<void>(co_await std::move(result)); }
coproc::task<> read_to_the_end(coproc::stream<int> from)
{
    while (auto item = co_await from.next())
        REQUIRE(*item >= 0);
}

} // namespace

TEST_CASE("a worker answers a valid conversation")
{
    conversation said;
    auto answers = answers_to(said.stream, said.file);
    REQUIRE(answers.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
        CHECK(answers[i].kind == frame_kind::result);
        CHECK(answers[i].number == i + 1);
    }
}

TEST_CASE("a task whose function was not sent, was dropped or makes no sense fails, and the worker goes on")
{
    conversation said;
    said.stream.clear();
    said.task(1, call_of_repeat(9, "y", 2), 1, frame::apart);
    said.say(frame_kind::function, 9, function_of_repeat());
    said.say(frame_kind::drop, 9, {});
    said.task(2, call_of_repeat(9, "y", 2), 1, frame::apart);
    auto body = call_of_repeat(9, "y", 2);
    SECTION("nonsense") { said.say(frame_kind::function, 9, bytes(100, std::byte{0xee})); }
    SECTION("too little") { said.say(frame_kind::function, 9, {}); }
    SECTION("sense, but no whole number in the task")
    {
        said.say(frame_kind::function, 9, function_of_repeat());
        body.resize(7);
    }
    said.task(3, body, 1, frame::apart);
    auto answers = answers_to(said.stream, said.file);
    REQUIRE(answers.size() == 3);
    for (auto& answer : answers)
        CHECK(answer.kind == frame_kind::failure);
}

TEST_CASE("a function that is sent apart serves several tasks")
{
    conversation said;
    said.stream.clear();
    said.say(frame_kind::function, 9, function_of_repeat());
    for (std::uint64_t number : {1, 2, 3})
        said.task(number, call_of_repeat(9, "y", 2), 1, frame::apart);
    for (auto& answer : answers_to(said.stream, said.file))
        CHECK(answer.kind == frame_kind::result);
}

TEST_CASE("a conversation that is cut at any byte ends the worker, after all that was whole", "[BAD-004]")
{
    conversation said;
    silence quiet;
    std::size_t before = 0;
    for (std::size_t cut = 0; cut <= said.stream.size(); ++cut) {
        auto answers = answers_to({said.stream.begin(), said.stream.begin() + static_cast<std::ptrdiff_t>(cut)}, said.file);
        REQUIRE(answers.size() >= before);
        before = answers.size();
    }
    CHECK(before == 3);
}

TEST_CASE("with any bit of a conversation flipped a worker gives answers or ends")
{
    conversation said;
    silence quiet;
    for (std::size_t bit = 0; bit < 8 * said.stream.size(); ++bit) {
        auto damaged = said.stream;
        damaged[bit / 8] ^= std::byte{1} << bit % 8;
        REQUIRE(answers_to(damaged, said.file).size() <= 4); // three results, and what one of them has cost
    }
}

TEST_CASE("with any bit of an answer's header flipped the pool lives, and replaces the worker if it must")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        for (int bit = 0; bit < 8 * static_cast<int>(sizeof(frame)); ++bit) {
            INFO("bit " << bit);
            auto e = co_await failure_of(pool.apply(answer_with_flipped_bit, bit));
            CHECK((!e || is<coproc::error>(e)));
            CHECK(co_await failure_of(pool.apply(own_pid)) == nullptr);
            ::kill(co_await pool.apply(own_pid), SIGKILL); // the next one's first task
        }
        co_await pool.close();
    });
}

TEST_CASE("a worker that answers nonsense fails its task, and is replaced")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        for (int which = 0; which <= 8; ++which) {
            INFO("case " << which);
            auto before = co_await pool.apply(own_pid);
            ::kill(before, SIGKILL); // so that it is the first task of a worker
            auto e = co_await failure_of(pool.apply(answer_nonsense, which));
            CHECK(is<coproc::error>(e));
            CHECK(co_await pool.apply(own_pid) != before);
        }
        co_await pool.close();
        CHECK_THROWS_AS(pool.submit(own_pid), coproc::usage_error); // it has not failed
    });
}

TEST_CASE("a task whose worker sends nonsense instead of items or reports fails, and the worker is replaced")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        for (int which = 0; which <= 7; ++which) {
            INFO("case " << which);
            auto kind = static_cast<int>(which == 6 ? frame_kind::item : frame_kind::report);
            auto before = co_await pool.apply(own_pid);
            ::kill(before, SIGKILL); // so that it is the first task of a worker
            auto work = which < 6 ? read_to_the_end(pool.apply({.in_flight = 4}, nonsense_items, which)) : ignore(pool.apply({.on_progress = [](const coproc::progress&) {}}, says_in_between, kind));
            auto e = co_await failure_of(std::move(work));
            CHECK(is<coproc::error>(e));
            CHECK(co_await failure_of(pool.apply(own_pid)) == nullptr);
        }
        for (int bit = 0; bit < 8 * static_cast<int>(sizeof(frame)); ++bit) {
            INFO("bit " << bit);
            ::kill(co_await pool.apply(own_pid), SIGKILL);
            auto e = co_await failure_of(read_to_the_end(pool.apply(item_with_flipped_bit, bit)));
            CHECK(is<coproc::error>(e)); // the true one is out of order then, if nothing else
            CHECK(co_await failure_of(pool.apply(own_pid)) == nullptr);
        }
        co_await pool.close();
    });
}
