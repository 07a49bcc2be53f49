// Connections within one process: messages, types, ends, turns, cancellation.
#include "channels/connected.hpp"
#include "pool/tasks.hpp"
#include "support/eventually.hpp"
#include "support/injection.hpp"
#include "support/proc.hpp"

#include <coproc/pipe.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <map>
#include <memory>
#include <numeric>
#include <sys/resource.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

using namespace channels_test;
using namespace coproc;
using namespace pool_test;
using namespace std::chrono_literals;
using namespace asio::experimental::awaitable_operators;

namespace {

using text = std::string;

std::vector<std::byte> bytes_of(const text& t)
{
    auto all = std::as_bytes(std::span{t});
    return {all.begin(), all.end()};
}

std::vector<int> many_numbers(std::size_t count, int first = 0)
{
    std::vector<int> numbers(count);
    std::iota(numbers.begin(), numbers.end(), first);
    return numbers;
}

bool is_broken_pipe(const std::exception_ptr& e)
{
    try {
        std::rethrow_exception(e);
    } catch (const std::system_error& error) {
        return error.code() == std::errc::broken_pipe;
    } catch (...) {
        return false;
    }
}

bool is_aborted(const std::exception_ptr& e)
{
    try {
        std::rethrow_exception(e);
    } catch (const std::system_error& error) {
        return error.code() == asio::error::operation_aborted;
    } catch (...) {
        return false;
    }
}

// Asio 1.22 can't join a task<> to several others.
task<int> with_value(task<> work)
{
    co_await std::move(work);
    co_return 0;
}

// Writes over a connection what a peer that breaks the rules would.
void write_raw(connection& c, const void* bytes, std::size_t size)
{
    REQUIRE(write_past(c, bytes, size) == static_cast<ssize_t>(size));
}

// A descriptor of an open file, as a value.
struct file_value {
    int number = -1;
    std::shared_ptr<const void> keep;

    void save(output_archive& archive) const { archive.attach({number, keep}); }
    void load(input_archive& archive)
    {
        auto arrived = archive.take_attachment();
        number = arrived.descriptor;
        keep = arrived.keep;
    }
};

struct no_file { // sends none where a file_value is expected
    void save(output_archive&) const {}
    void load(input_archive&) {}
};

file_value file_with(const text& contents)
{
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    REQUIRE(::write(ends[1], contents.data(), contents.size()) == static_cast<ssize_t>(contents.size()));
    ::close(ends[1]);
    return {ends[0], std::shared_ptr<const void>{nullptr, [fd = ends[0]](const void*) { ::close(fd); }}};
}

text contents_of(const file_value& f)
{
    char buffer[64];
    auto size = ::read(f.number, buffer, sizeof buffer);
    return size < 0 ? "unreadable" : text(buffer, static_cast<std::size_t>(size));
}

connection* reentered = nullptr;
struct sends_itself {
    int number = 0;
    void save(output_archive& archive) const
    {
        if (reentered) {
            auto& channel = *std::exchange(reentered, nullptr);
            sync_wait(channel.send(text{"from inside"}));
        }
        archive(number);
    }
    void load(input_archive& archive) { archive(number); }
};

struct refuses {
    void save(output_archive& archive) const
    {
        archive(1, 2, 3);
        throw std::domain_error{"not this one"};
    }
    void load(input_archive&) {}
};

} // namespace

TEST_CASE("values and bytes go both ways through a pipe", "[PIP-001]")
{
    auto [a, b] = connected(GENERATE(pipes, one_socket));
    in_loop([&]() -> task<> {
        const std::map<text, std::vector<double>> value{{"x", {1.5, 2}}, {"", {}}};
        co_await a.send(value);
        co_await b.send(42);
        co_await b.send("a literal");
        co_await a.send_bytes("raw");
        auto map = co_await b.recv<std::map<text, std::vector<double>>>();
        CHECK(map == value);
        CHECK(co_await a.recv<int>() == 42);
        CHECK(co_await a.recv<text>() == "a literal");
        CHECK(co_await b.recv_bytes() == bytes_of("raw"));
    });
}

TEST_CASE("a message of 16 MiB goes both ways at once", "[PIP-001]")
{
    auto [a, b] = connected(GENERATE(pipes, one_socket));
    const auto numbers = many_numbers(4 << 20);
    in_loop([&]() -> task<> {
        auto there = with_value(a.send(numbers) && b.send(numbers));
        auto back = a.recv<std::vector<int>>() && b.recv<std::vector<int>>();
        auto all = std::move(back) && std::move(there);
        auto [at_a, at_b, none] = co_await std::move(all);
        CHECK((at_a == numbers));
        CHECK((at_b == numbers));
        static_cast<void>(none);
    });
}

TEST_CASE("bytes of odd lengths arrive as they are", "[PIP-013]")
{
    auto [a, b] = connected(GENERATE(pipes, one_socket));
    in_loop([&]() -> task<> {
        for (std::size_t size : {1u, 3u, 7u, 8167u, 8168u, 8169u, 65537u, 1048577u}) {
            text sent(size, 'x');
            sent.back() = 'y';
            auto both = a.send_bytes(sent) && b.recv_bytes();
            auto got = co_await std::move(both);
            CHECK((got == bytes_of(sent)));
        }
    });
}

TEST_CASE("small messages are not merged, and empty ones are messages", "[PIP-008][PIP-010]")
{
    auto [a, b] = connected(GENERATE(pipes, one_socket));
    in_loop([&]() -> task<> {
        for (auto* word : {"a", "", "bc", ""})
            co_await a.send_bytes(word);
        CHECK(co_await b.poll());
        CHECK(co_await b.recv_bytes() == bytes_of("a"));
        CHECK(co_await b.poll());
        CHECK(co_await b.recv_bytes() == bytes_of(""));
        CHECK(co_await b.recv_bytes() == bytes_of("bc"));
        CHECK(co_await b.poll());
        CHECK(co_await b.recv_bytes() == bytes_of(""));
        CHECK_FALSE(co_await b.poll());
    });
}

TEST_CASE("what was sent before the end is received, then nothing", "[PIP-004]")
{
    auto [a, b] = connected(GENERATE(pipes, one_socket));
    in_loop([&]() -> task<> {
        co_await b.send(0); // unread: the kernel tells of it ahead of what was sent
        co_await a.send(1);
        co_await a.send(2);
        a.close();
        CHECK(co_await b.recv<int>() == 1);
        CHECK_FALSE(b.closed());
        CHECK(co_await b.recv<int>() == 2);
        CHECK_FALSE(co_await b.recv<int>());
        CHECK_FALSE(co_await b.recv<int>());
        CHECK(b.closed());
    });
}

TEST_CASE("a send to a closed end is an error and no signal, also with messages unread", "[PIP-005]")
{
    std::signal(SIGPIPE, SIG_DFL);
    auto [a, b] = connected(GENERATE(pipes, one_socket));
    in_loop([&]() -> task<> {
        co_await a.send(1);
        b.close();
        CHECK(is_broken_pipe(co_await failure_of(a.send(2))));
        CHECK(is_broken_pipe(co_await failure_of(a.send(3))));
    });
    std::signal(SIGPIPE, SIG_IGN);
}

TEST_CASE("a sender that waits for room learns that the other end was closed", "[PIP-005]")
{
    auto [a, b] = connected(GENERATE(pipes, one_socket));
    in_loop([&]() -> task<> {
        auto close_later = [](connection& c) -> task<> {
            c.close();
            co_return;
        };
        const auto numbers = many_numbers(1 << 20);
        auto both = failure_of(a.send(numbers)) && close_later(b);
        auto failure = co_await std::move(both);
        CHECK(is_broken_pipe(failure));
    });
}

TEST_CASE("try_recv finds nothing at an open end, and closed tells that from the end", "[PIP-006]")
{
    auto [a, b] = connected(GENERATE(pipes, one_socket));
    CHECK_FALSE(b.try_recv<int>());
    CHECK_FALSE(b.closed());
    sync_wait(a.send(7));
    CHECK_FALSE(b.closed());
    CHECK(b.try_recv<int>() == 7);
    sync_wait(a.send_bytes("x"));
    a.close();
    CHECK_FALSE(b.closed());
    CHECK(b.try_recv_bytes() == bytes_of("x"));
    CHECK_FALSE(b.try_recv<int>());
    CHECK(b.closed());
    CHECK(a.closed());
}

TEST_CASE("bytes are received into memory of one's own, at any place in it", "[CON-001]")
{
    auto [a, b] = connected(GENERATE(pipes, one_socket));
    in_loop([&]() -> task<> {
        co_await a.send_bytes("hello");
        text room = "----------";
        std::span<std::byte> all = std::as_writable_bytes(std::span{room});
        CHECK(co_await b.recv_bytes_into(all.subspan(3)) == 5u);
        CHECK(room == "---hello--");
        a.close();
        CHECK_FALSE(co_await b.recv_bytes_into(all));
    });
}

TEST_CASE("memory that is too short is an error with the message in it", "[CON-002]")
{
    auto [a, b] = connected(GENERATE(pipes, one_socket));
    in_loop([&]() -> task<> {
        co_await a.send_bytes("hello");
        co_await a.send_bytes("next");
        text room = "1234";
        std::span<std::byte> all = std::as_writable_bytes(std::span{room});
        auto failure = co_await failure_of(b.recv_bytes_into(all));
        CHECK(room == "1234");
        REQUIRE(is<buffer_too_short>(failure, "5 bytes"));
        try {
            std::rethrow_exception(failure);
        } catch (const buffer_too_short& e) {
            CHECK(e.message() == bytes_of("hello"));
        }
        CHECK(co_await b.recv_bytes_into(all) == 4u);
        CHECK(room == "next");
    });
}

TEST_CASE("poll waits not, or until something comes, or at most its time", "[CON-004]")
{
    auto [a, b] = connected(GENERATE(pipes, one_socket));
    in_loop([&]() -> task<> {
        CHECK_FALSE(co_await b.poll());
        CHECK_FALSE(co_await b.poll(-1s));
        const auto begin = std::chrono::steady_clock::now();
        CHECK_FALSE(co_await b.poll(30ms));
        CHECK(std::chrono::steady_clock::now() - begin >= 30ms);
        auto later = [](connection& c) -> task<> { co_await c.send(1); };
        auto both = b.poll(1h) && later(a);
        CHECK(co_await std::move(both));
        CHECK(co_await b.poll(-1s));
        CHECK(co_await b.recv<int>() == 1);
        a.close();
        CHECK(co_await b.poll(1h));
    });
}

TEST_CASE("a wrong type is an error that names both and loses nothing")
{
    auto [a, b] = connected(GENERATE(pipes, one_socket));
    in_loop([&]() -> task<> {
        co_await a.send(text{"hello"});
        CHECK(is<type_error>(co_await failure_of(b.recv<int>()), "of type std::string, not int"));
        CHECK(is<type_error>(co_await failure_of(b.recv<std::vector<text>>()), "not std::vector<std::string>"));
        CHECK(is<type_error>(co_await failure_of(b.recv_bytes()), "not bytes"));
        CHECK_THROWS_AS(b.try_recv<double>(), type_error);
        CHECK(co_await b.recv<text>() == "hello");
        co_await a.send_bytes("x");
        CHECK(is<type_error>(co_await failure_of(b.recv<text>()), "is of type bytes, not std::string"));
        CHECK(co_await b.recv_bytes() == bytes_of("x"));
    });
}

TEST_CASE("what is no message ends the connection and nothing else")
{
    auto [a, b] = connected(GENERATE(pipes, one_socket));
    const text nonsense(100, 'n');
    write_raw(a, nonsense.data(), nonsense.size());
    in_loop([&]() -> task<> {
        CHECK(is<protocol_error>(co_await failure_of(b.recv<int>()), "no message"));
        CHECK(is<protocol_error>(co_await failure_of(b.recv<int>()), "no message"));
        CHECK(is<protocol_error>(co_await failure_of(b.send(1)), "no message"));
        CHECK(b.closed());
        CHECK_FALSE(co_await a.recv<int>()); // it was shut down
    });
}

TEST_CASE("a message that announces more than there is takes no memory for it")
{
    auto [a, b] = connected(GENERATE(pipes, one_socket));
    struct {
        char mark[4] = {'c', 'p', 'm', '1'};
        std::uint32_t descriptors = 0;
        std::uint64_t size = std::uint64_t{1} << 50, type = 0;
    } header;
    write_raw(a, &header, sizeof header);
    in_loop([&]() -> task<> {
        auto both = failure_of(b.recv_bytes()) && failure_of([](connection& c) -> task<> {
            const text part(5'000'000, 'p');
            for (std::size_t sent = 0; sent < part.size();) {
                auto now = write_past(c, part.data() + sent, part.size() - sent);
                sent += now > 0 ? static_cast<std::size_t>(now) : 0;
                asio::steady_timer turn{co_await asio::this_coro::executor, 0ms}; // the receiver's
                co_await turn.async_wait(asio::use_awaitable);
            }
            c.close();
        }(a));
        auto [failure, none] = co_await std::move(both);
        CHECK(is<protocol_error>(failure, "in the middle"));
        CHECK_FALSE(none);
    });
}

TEST_CASE("a value that can't be loaded costs its message only", "[CON-006]")
{
    auto [a, b] = connected(GENERATE(pipes, one_socket));
    in_loop([&]() -> task<> {
        std::variant<file_value, no_file> wants = no_file{};
        co_await a.send(wants);
        co_await a.send(5);
        // The same type, whose descriptor does not come: no other number is taken for it.
        static_cast<void>(co_await b.recv<std::variant<file_value, no_file>>());
        CHECK(co_await b.recv<int>() == 5);
    });
    struct {
        char mark[4] = {'c', 'p', 'm', '1'};
        std::uint32_t descriptors = 0;
        std::uint64_t size = 0, type = coproc::detail::message_type_of<file_value>::record.fingerprint;
    } header;
    write_raw(a, &header, sizeof header);
    sync_wait(a.send(6));
    in_loop([&]() -> task<> {
        CHECK(is<protocol_error>(co_await failure_of(b.recv<file_value>()), "a descriptor that did not come with it"));
        CHECK(co_await b.recv<int>() == 6);
    });
}

TEST_CASE("descriptors that were announced and did not come are an error", "[CON-006]")
{
    auto [a, b] = connected(GENERATE(pipes, one_socket));
    struct {
        char mark[4] = {'c', 'p', 'm', '1'};
        std::uint32_t descriptors = 2;
        std::uint64_t size = 0, type = 0;
    } header;
    write_raw(a, &header, sizeof header);
    CHECK(is<protocol_error>(sync_wait(failure_of(b.recv_bytes())), "without the descriptors"));
}

TEST_CASE("any number of descriptors travels with data of any size", "[PIP-012][CON-005]")
{
    auto [a, b] = connected(GENERATE(pipes, one_socket));
    const auto count = GENERATE(0, 1, 63, 64, 90);
    const std::size_t size = GENERATE(1u, 8192u - 24u, 65536u, 65537u);
    using package = std::tuple<std::vector<file_value>, text>;
    package sent;
    for (int i = 0; i < count; ++i)
        std::get<0>(sent).push_back(file_with(std::to_string(i)));
    std::get<1>(sent).assign(size, 'd');
    in_loop([&]() -> task<> {
        for (int round = 0; round < 2; ++round) {
            auto both = a.send(sent) && b.recv<package>();
            auto got = co_await std::move(both);
            REQUIRE(got);
            REQUIRE(std::get<0>(*got).size() == static_cast<std::size_t>(count));
            CHECK((std::get<1>(*got) == std::get<1>(sent)));
            for (int i = 0; round == 0 && i < count; ++i)
                CHECK(contents_of(std::get<0>(*got)[static_cast<std::size_t>(i)]) == std::to_string(i));
        }
    });
}

TEST_CASE("more descriptors than one packet takes travel in one message", "[PIP-012]")
{
    if (support::descriptor_limit() < 1200)
        return;
    auto [a, b] = connected(GENERATE(pipes, one_socket));
    const auto file = file_with("one file");
    std::vector<file_value> sent(600, file);
    in_loop([&]() -> task<> {
        co_await a.send(sent);
        co_await a.send(1);
        auto got = co_await b.recv<std::vector<file_value>>();
        REQUIRE(got);
        CHECK(got->size() == 600);
        CHECK(contents_of(got->back()) == "one file");
        CHECK(co_await b.recv<int>() == 1);
    });
}

TEST_CASE("senders at the same time don't mix their messages, and are served in order", "[PIP-011]")
{
    auto [a, b] = connected(GENERATE(pipes, one_socket));
    in_loop([&]() -> task<> {
        auto sender = [](connection& c, int id) -> task<> {
            for (int i = 0; i < 4; ++i)
                co_await c.send(std::vector<int>(256 * 1024, id));
        };
        auto all = sender(a, 1) && sender(a, 2) && sender(a, 3);
        auto receive_all = [](connection& c) -> task<std::map<int, int>> {
            std::map<int, int> counts;
            for (int i = 0; i < 12; ++i) {
                auto got = co_await c.recv<std::vector<int>>();
                if (std::ranges::all_of(*got, [&](int n) { return n == got->front(); }) && got->size() == 256 * 1024)
                    ++counts[got->front()];
            }
            co_return counts;
        };
        auto both = std::move(all) && receive_all(b);
        auto counts = co_await std::move(both);
        CHECK(counts == std::map<int, int>{{1, 4}, {2, 4}, {3, 4}});
    });
}

TEST_CASE("receivers are served in the order in which they came")
{
    auto [a, b] = connected(GENERATE(pipes, one_socket));
    in_loop([&]() -> task<> {
        auto three = b.recv<int>() && b.recv<int>() && b.recv<int>();
        auto send_three = [](connection& c) -> task<> {
            for (int i = 1; i <= 3; ++i)
                co_await c.send(i);
        };
        auto all = std::move(three) && with_value(send_three(a));
        auto [first, second, third, none] = co_await std::move(all);
        CHECK(first == 1);
        CHECK(second == 2);
        CHECK(third == 3);
        static_cast<void>(none);
    });
}

TEST_CASE("a receive that is cancelled in the middle of a message loses nothing of it")
{
    auto [a, b] = connected(GENERATE(pipes, one_socket));
    const auto numbers = many_numbers(1 << 20);
    in_loop([&]() -> task<> {
        auto interrupted = [](connection& c) -> task<> {
            for (int i = 0; i < 20; ++i) {
                asio::steady_timer soon{co_await asio::this_coro::executor, 0ms};
                auto either = c.recv<std::vector<double>>() || soon.async_wait(asio::use_awaitable); // never of this type
                auto which = co_await std::move(either);
                CHECK(which.index() == 1);
            }
        };
        auto both = interrupted(b) || a.send(numbers);
        static_cast<void>(co_await std::move(both));
        asio::steady_timer soon{co_await asio::this_coro::executor, 0ms};
        auto rest = a.send(1) && b.recv<std::vector<int>>(); // what the cancelled send has left is sent before
        auto got = co_await std::move(rest);
        CHECK((got == numbers));
        CHECK(co_await b.recv<int>() == 1);
    });
}

TEST_CASE("a cancelled send that had begun is completed by the next one, one that waited is not sent")
{
    auto [a, b] = connected(GENERATE(pipes, one_socket));
    const auto numbers = many_numbers(1 << 20);
    in_loop([&]() -> task<> {
        auto executor = co_await asio::this_coro::executor;
        asio::cancellation_signal first, second;
        int ended = 0;
        auto count = [&](std::exception_ptr e) { ended += is_aborted(e); };
        asio::co_spawn(executor, a.send(numbers), asio::bind_cancellation_slot(first.slot(), count));
        asio::co_spawn(executor, a.send(text{"never sent"}), asio::bind_cancellation_slot(second.slot(), count));
        asio::steady_timer soon{executor, 10ms};
        co_await soon.async_wait(asio::use_awaitable);
        CHECK(ended == 0);
        second.emit(asio::cancellation_type::terminal);
        first.emit(asio::cancellation_type::terminal);
        auto rest = a.send(text{"last"}) && b.recv<std::vector<int>>();
        auto got = co_await std::move(rest);
        CHECK((got == numbers));
        CHECK(ended == 2);
        CHECK(co_await b.recv<text>() == "last");
    });
}

TEST_CASE("close ends what is under way, and the other side sees the end")
{
    auto [a, b] = connected(GENERATE(pipes, one_socket));
    in_loop([&]() -> task<> {
        auto close = [](connection& c) -> task<> {
            c.close();
            co_return;
        };
        auto all = failure_of(b.recv<int>()) && failure_of(b.recv<int>()) && with_value(close(b));
        auto [first, second, none] = co_await std::move(all);
        static_cast<void>(none);
        CHECK(is_aborted(first));
        CHECK(is_aborted(second));
        CHECK_FALSE(co_await a.recv<int>());
    });
}

TEST_CASE("a closed, empty or one-way end says what is wrong with the call")
{
    connection empty;
    CHECK(empty.closed());
    CHECK_FALSE(empty.valid());
    CHECK_THROWS_AS(empty.send(1), usage_error);
    CHECK_THROWS_AS(empty.native_handle(), usage_error);
    auto [reader, writer] = one_way_pipe();
    CHECK_THROWS_AS(reader.send(1), usage_error);
    CHECK_THROWS_AS(writer.recv<int>(), usage_error);
    sync_wait(writer.send(1));
    CHECK(sync_wait(reader.recv<int>()) == 1);
    CHECK_FALSE(writer.closed());
    reader.close();
    CHECK(writer.closed());
    CHECK_THROWS_AS(reader.recv<int>(), usage_error);
    auto late = writer.send(2);
    writer.close();
    CHECK(is<usage_error>(sync_wait(failure_of(std::move(late))), "closed"));
}

TEST_CASE("a serializer that throws leaves nothing behind")
{
    auto [a, b] = connected(GENERATE(pipes, one_socket));
    CHECK_THROWS_AS(a.send(refuses{}), std::domain_error);
    sync_wait(a.send(1));
    CHECK(sync_wait(b.recv<int>()) == 1);
}

TEST_CASE("a serializer that sends on the same connection breaks no message", "[PIP-014]")
{
    auto [a, b] = connected(GENERATE(pipes, one_socket));
    reentered = &a;
    sync_wait(a.send(sends_itself{9}));
    CHECK(sync_wait(b.recv<text>()) == "from inside");
    CHECK(sync_wait(b.recv<sends_itself>())->number == 9);
}

TEST_CASE("two buffers of one message share no memory", "[CON-025]")
{
    auto [a, b] = connected(GENERATE(pipes, one_socket));
    using two = std::pair<std::vector<int>, std::vector<int>>;
    sync_wait(a.send(two{{1, 2}, {1, 2}}));
    auto got = sync_wait(b.recv<two>());
    got->first[0] = 5;
    CHECK(got->second == std::vector<int>{1, 2});
}

TEST_CASE("an end that is sent takes what was not read along, and leaves nothing here", "[CON-007]")
{
    auto [a, b] = connected(GENERATE(pipes, one_socket));
    auto [carrier, far] = connected(GENERATE(pipes, one_socket));
    in_loop([&]() -> task<> {
        co_await a.send(text{"one"});
        const std::vector sent(1, file_with("attached"));
        co_await a.send(sent);
        co_await a.send(text{"two"});
        CHECK(co_await b.poll()); // has read ahead
        co_await carrier.send(b); // no move: to send is to give away
        CHECK_FALSE(b.valid());
        auto got = co_await far.recv<connection>();
        REQUIRE(got);
        CHECK(co_await got->recv<text>() == "one");
        auto files = co_await got->recv<std::vector<file_value>>();
        CHECK(contents_of(files->at(0)) == "attached");
        CHECK(co_await got->recv<text>() == "two");
        got->close();
        CHECK_FALSE(co_await a.recv<int>()); // nobody else has it
    });
}

TEST_CASE("an end takes half a message along, and what a cancelled send has left")
{
    auto [a, b] = connected(GENERATE(pipes, one_socket));
    auto [carrier, far] = connected(GENERATE(pipes, one_socket));
    const auto numbers = many_numbers(1 << 20);
    in_loop([&]() -> task<> {
        auto no_time = [](task<> work) -> task<> {
            asio::steady_timer soon{co_await asio::this_coro::executor, 5ms};
            auto either = std::move(work) || soon.async_wait(asio::use_awaitable);
            auto which = co_await std::move(either);
            CHECK(which.index() == 1);
        };
        co_await no_time(a.send(numbers));
        CHECK_FALSE(co_await b.poll(5ms)); // reads what there is of it
        auto move_a = carrier.send(std::move(a)) && far.recv<connection>(); // 4 MiB
        auto a2 = co_await std::move(move_a);
        auto move_b = carrier.send(std::move(b)) && far.recv<connection>();
        auto b2 = co_await std::move(move_b);
        auto both = a2->send(3) && b2->recv<std::vector<int>>();
        auto got = co_await std::move(both);
        CHECK((got == numbers));
        CHECK(co_await b2->recv<int>() == 3);
    });
}

TEST_CASE("an end in use can't be sent, nor over itself")
{
    auto [a, b] = connected(GENERATE(pipes, one_socket));
    auto [carrier, far] = connected(GENERATE(pipes, one_socket));
    in_loop([&]() -> task<> {
        auto executor = co_await asio::this_coro::executor;
        asio::co_spawn(executor, b.recv<int>(), asio::detached);
        asio::steady_timer soon{executor, 0ms};
        co_await soon.async_wait(asio::use_awaitable);
        CHECK_THROWS_AS(carrier.send(b), usage_error);
        CHECK(b.valid());
        co_await a.send(1);
        co_await soon.async_wait(asio::use_awaitable);
    });
    CHECK(is<usage_error>(sync_wait(failure_of(a.send(a))), "closed, or sent away"));
}

TEST_CASE("descriptors that don't fit into this process cost their message only")
{
    auto [a, b] = connected(GENERATE(pipes, one_socket));
    sync_wait(a.send(std::vector{file_with("x"), file_with("y")}));
    sync_wait(a.send(1));
    struct rlimit before{}, none{};
    ::getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    auto highest = ::dup(0);
    ::close(highest);
    none.rlim_cur = static_cast<rlim_t>(highest) + 1; // room for one
    ::setrlimit(RLIMIT_NOFILE, &none);
    std::exception_ptr failure;
    try {
        static_cast<void>(b.try_recv<std::vector<file_value>>());
    } catch (const std::system_error&) {
        failure = std::current_exception();
    }
    ::setrlimit(RLIMIT_NOFILE, &before);
    CHECK(is<std::system_error>(failure, "descriptors of a message"));
    CHECK(b.try_recv<int>() == 1);
}

TEST_CASE("interrupted and short system calls change nothing")
{
    auto [a, b] = connected(GENERATE(pipes, one_socket));
    int turn = 0;
    support::injection short_and_interrupted{[&](os::call call) {
        if (call != os::call::send_message && call != os::call::receive_message && call != os::call::write && call != os::call::read)
            return os::verdict{};
        return ++turn % 3 == 0 ? os::verdict{EINTR, SIZE_MAX} : os::verdict{0, 5};
    }};
    const auto numbers = many_numbers(1000);
    in_loop([&]() -> task<> {
        auto both = a.send(numbers) && b.recv<std::vector<int>>();
        auto got = co_await std::move(both);
        CHECK((got == numbers));
    });
}

TEST_CASE("a message of 3 GiB", "[.large]")
{
    auto [a, b] = pipe();
    const std::size_t size = std::size_t{3} << 30;
    std::thread sender{[&, &out = a] {
        auto all = std::make_unique<text>(size, 'L');
        all->back() = 'E';
        auto work = out.send(*all);
        all.reset(); // it is serialized
        sync_wait(std::move(work));
    }};
    auto got = sync_wait(b.recv<text>());
    sender.join();
    REQUIRE(got);
    CHECK(got->size() == size);
    CHECK(got->back() == 'E');
}
