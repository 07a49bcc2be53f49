// A connection when the process at its other end is killed, before each system call or at a thousand moments: what comes
// is whole, in order and once, then the end comes; half a message is an error and nothing else.
#include "channels/connected.hpp"
#include "pool/tasks.hpp"
#include "support/injection.hpp"
#include "support/killed.hpp"
#include "sync/copy_of_this.hpp"

#include <coproc/pipe.hpp>
#include <coproc/shared_array.hpp>
#include <coproc/shared_value.hpp>

#include <csignal>
#include <functional>
#include <numeric>
#include <stdexcept>
#include <system_error>
#include <utility>
#include <vector>

using namespace channels_test;
using namespace coproc;
using namespace pool_test;
using support::killed_at_any_moment;

namespace {

std::vector<int> numbers_of(int number, int size)
{
    std::vector<int> all(static_cast<std::size_t>(size));
    std::iota(all.begin(), all.end(), number);
    return all;
}

/// How a connection ended for who receives from it.
struct received {
    int messages = 0;
    bool cut = false; ///< in the middle of the next one
};

/// Messages are numbered by what they begin with; `size_of(number)` tells the right size.
template <class Size>
task<received> receive_all(connection& from, Size size_of)
{
    received result;
    try {
        for (;; ++result.messages) {
            auto turn = from.recv<std::vector<int>>();
            auto message = co_await std::move(turn);
            if (!message)
                break;
            if (*message != numbers_of(result.messages, size_of(result.messages)))
                throw std::runtime_error{"a message is not what was sent"};
        }
    } catch (const protocol_error&) {
        result.cut = true;
    }
    CHECK(from.closed());
    co_return result;
}

/// Copies of this process call `send` with one end of a pipe, in system calls of 60 bytes, and are killed before the first one
/// of these, before the second, and so on; the last one ends by itself. `check` gets the other end after each.
void killed_before_each_send(files by, const std::function<void(connection&)>& send, const std::function<void(connection&)>& check)
{
    for (int calls = 0;; ++calls) {
        auto [a, b] = connected(by);
        int left = calls;
        tests::copy_of_this copy{[&, &to = a, &from = b] {
            from.close();
            support::injection slowly{[&](os::call call) {
                if ((call == os::call::send_message || call == os::call::write) && left-- == 0)
                    ::raise(SIGKILL);
                return os::verdict{0, 60};
            }};
            send(to);
            return 0;
        }};
        a.close();
        const int status = copy.end();
        INFO("killed before system call " << calls);
        check(b);
        if (WIFEXITED(status)) {
            CHECK(WEXITSTATUS(status) == 0);
            return;
        }
    }
}

std::error_code failure_of_send(connection& to, const std::vector<int>& message)
{
    try {
        sync_wait(to.send(message));
    } catch (const std::system_error& e) {
        return e.code();
    }
    return {};
}

} // namespace

TEST_CASE("a process that dies before any system call of a send has sent whole messages, and at most a part of one that is an error",
          "[PIP-004]")
{
    constexpr int messages = 4;
    const auto size_of = [](int number) { return number == 2 ? 300 : 10; };
    int cut = 0, whole = 0, most = 0;
    killed_before_each_send(
        GENERATE(pipes, one_socket),
        [&](connection& to) {
            for (int i = 0; i < messages; ++i)
                sync_wait(to.send(numbers_of(i, size_of(i))));
        },
        [&](connection& from) {
            const auto end = sync_wait(receive_all(from, size_of));
            ++(end.cut ? cut : whole);
            REQUIRE((end.messages >= most && end.messages <= most + 1)); // more calls, more messages
            most = end.messages;
        });
    CHECK(cut > 10);
    CHECK(whole > 0);
    CHECK(most == messages);
}

TEST_CASE("a process that dies before any system call of a send of descriptors has sent them with their message, or neither", "[PIP-012]")
{
    using with_arrays = std::vector<shared_array<int>>;
    int most = 0;
    killed_before_each_send(
        GENERATE(pipes, one_socket),
        [&](connection& to) {
            for (int i = 1; i <= 3; ++i)
                sync_wait(to.send(with_arrays{shared_array<int>(1, i), shared_array<int>(1, -i)}));
        },
        [&](connection& from) {
            int count = 0;
            try {
                while (auto item = sync_wait(from.recv<with_arrays>())) {
                    ++count;
                    REQUIRE((item->size() == 2 && item->at(0)[0] == count && item->at(1)[0] == -count));
                }
            } catch (const protocol_error&) { // half a message
            }
            REQUIRE((count >= most && count <= most + 1));
            most = count;
        });
    CHECK(most == 3);
}

TEST_CASE("messages of a process that is killed at any moment come whole and in order, then the end", "[PIP-004]")
{
    const auto size_of = [](int number) { return number % 5 == 4 ? 20'000 : number % 50; };
    connection a, b;
    int sent = 0;
    shared_value<int> done{0};
    killed_at_any_moment({
        .prepare =
            [&] {
                std::tie(a, b) = pipe();
                sent = 0;
                done.store(0);
            },
        .first = [&] { b.close(); },
        .body =
            [&] {
                sync_wait(a.send(numbers_of(sent, size_of(sent))));
                done.store(++sent);
            },
        .check =
            [&](int) {
                a.close();
                const auto end = sync_wait(receive_all(b, size_of));
                REQUIRE((end.messages == done.load() || end.messages == done.load() + 1));
                REQUIRE((!end.cut || end.messages == done.load()));
            },
    });
}

TEST_CASE("who sends to a process that is killed at any moment gets an error, however much is under way", "[PIP-005]")
{
    connection a, b;
    const auto small = numbers_of(0, 10), big = numbers_of(0, 300'000);
    int failed_at_once = 0;
    killed_at_any_moment({
        .prepare = [&] { std::tie(a, b) = pipe(); },
        .first = [&] { a.close(); },
        .body = [&] { static_cast<void>(sync_wait(b.recv<std::vector<int>>())); },
        .check =
            [&](int) {
                b.close();
                failed_at_once += failure_of_send(a, small) ? 1 : 0;
                const auto error = failure_of_send(a, big);
                REQUIRE((error == std::errc::broken_pipe || error == std::errc::connection_reset));
                REQUIRE_FALSE(sync_wait(a.recv<int>()));
            },
    });
    CHECK(failed_at_once > 0);
}

TEST_CASE("a sender that waits for room learns that the receiver was killed at any moment", "[PIP-005]")
{
    connection a, b;
    const auto big = numbers_of(0, 100'000);
    int failed = 0;
    std::error_code error;
    killed_at_any_moment({
        .prepare =
            [&] {
                std::tie(a, b) = pipe();
                error.clear();
            },
        .first = [&] { a.close(); },
        .beside =
            [&] {
                b.close(); // the copy's is the only one
                while (!error)
                    error = failure_of_send(a, big);
            },
        .body = [&] { static_cast<void>(sync_wait(b.recv<std::vector<int>>())); },
        .check =
            [&](int) {
                ++failed;
                REQUIRE((error == std::errc::broken_pipe || error == std::errc::connection_reset));
            },
    });
    CHECK(failed == support::many_deaths);
}
