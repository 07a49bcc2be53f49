// Waiting for several things.
#include "pool/tasks.hpp"

#include <coproc/pipe.hpp>
#include <coproc/process.hpp>
#include <coproc/wait_any.hpp>

#include <asio/experimental/awaitable_operators.hpp>

#include <set>
#include <unistd.h>

using namespace coproc;
using namespace pool_test;
using namespace std::chrono_literals;

namespace {

// g++ 12 takes no list in an expression that awaits.
template <class... I>
std::vector<std::size_t> at(I... i)
{
    return {static_cast<std::size_t>(i)...};
}

task<> send_numbers(connection c, int id)
{
    for (int i = 0; i < 5; ++i)
        co_await c.send(10 * id + i);
}

void wait_for_the_end()
{
    for (;;)
        ::pause();
}

} // namespace

TEST_CASE("wait_any gives exactly what is ready, until it is taken", "[CON-013]")
{
    in_loop([]() -> task<> {
        auto [a, b] = pipe();
        auto [c, d] = pipe();
        auto [e, f] = pipe();
        co_await b.send(1);
        f.close();
        CHECK(co_await wait_any(a, c, e) == at(0, 2));
        CHECK(co_await wait_any(a, c, e, 1h) == at(0, 2));
        CHECK(co_await a.recv<int>() == 1);
        CHECK(co_await wait_any(a, c, e) == at(2));
        CHECK_FALSE(co_await e.recv<int>());
        CHECK(co_await wait_any(a, 0s) == at(1));
    });
}

TEST_CASE("a message that was read ahead is ready, too")
{
    in_loop([]() -> task<> {
        auto [a, b] = pipe();
        co_await b.send(1);
        co_await b.send(2);
        CHECK(co_await a.recv<int>() == 1); // has read both
        CHECK(co_await wait_any(a) == at(0));
        CHECK(co_await a.recv<int>() == 2);
        CHECK(co_await wait_any(a, 1ms) == at(1));
    });
}

TEST_CASE("wait_any wakes for messages, ends of processes, descriptors and times", "[CON-013]")
{
    in_loop([]() -> task<> {
        using namespace asio::experimental::awaitable_operators;
        auto [a, b] = pipe();
        process p = co_await process::start(wait_for_the_end);
        int ends[2];
        REQUIRE(::pipe(ends) == 0);
        const readable own{ends[0]};
        auto send = [](connection& c) -> task<> { co_await c.send(1); };
        auto woken = wait_any(a, p, own, 1h) && send(b);
        CHECK(co_await std::move(woken) == at(0));
        CHECK(co_await a.recv<int>() == 1);
        p.kill();
        CHECK(co_await wait_any(a, p, own, 1h) == at(1));
        CHECK(co_await wait_any(a, own, 2ms) == at(2));
        REQUIRE(::write(ends[1], "x", 1) == 1);
        CHECK(co_await wait_any(a, own, std::chrono::steady_clock::now() + 1h) == at(1));
        ::close(ends[0]);
        ::close(ends[1]);
    });
}

TEST_CASE("everything that many processes send arrives through wait_any", "[CON-013]")
{
    in_loop([]() -> task<> {
        std::vector<connection> readers;
        std::vector<process> processes;
        for (int id = 0; id < 6; ++id) {
            auto [reader, writer] = one_way_pipe();
            processes.push_back(co_await process::start(send_numbers, std::move(writer), id));
            readers.push_back(std::move(reader));
        }
        std::multiset<int> got;
        while (!readers.empty()) {
            auto ready = co_await wait_any(readers);
            REQUIRE_FALSE(ready.empty());
            for (auto i = ready.rbegin(); i != ready.rend(); ++i) {
                auto number = co_await readers[*i].recv<int>();
                if (number)
                    got.insert(*number);
                else
                    readers.erase(readers.begin() + static_cast<std::ptrdiff_t>(*i));
            }
        }
        std::multiset<int> expected;
        for (int id = 0; id < 6; ++id)
            for (int i = 0; i < 5; ++i)
                expected.insert(10 * id + i);
        CHECK(got == expected);
        for (auto& p : processes)
            co_await p.join();
    });
}

TEST_CASE("a cancelled wait_any takes nothing, and its like can be waited for again")
{
    in_loop([]() -> task<> {
        using namespace asio::experimental::awaitable_operators;
        auto [a, b] = pipe();
        auto either = wait_any(a, a) || wait_any(1ms); // the same one twice
        auto which = co_await std::move(either);
        CHECK(which.index() == 1);
        co_await b.send(3);
        CHECK(co_await wait_any(a, a) == at(0, 1));
        CHECK(co_await a.recv<int>() == 3);
    });
}

TEST_CASE("wait_any refuses what could never be ready")
{
    in_loop([]() -> task<> {
        connection empty;
        auto [reader, writer] = one_way_pipe();
        std::vector<connection> none;
        CHECK_THROWS_AS(wait_any(empty), usage_error);
        CHECK_THROWS_AS(wait_any(writer), usage_error);
        CHECK(is<usage_error>(co_await failure_of(wait_any(none))));
    });
}
