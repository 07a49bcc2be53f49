// Connections between processes.
#include "pool/tasks.hpp"
#include "support/proc.hpp"

#include <coproc/pipe.hpp>
#include <coproc/pool.hpp>
#include <coproc/process.hpp>

#include <csignal>
#include <unistd.h>

using namespace coproc;
using namespace pool_test;

namespace {

using text = std::string;

task<> echo(connection c)
{
    while (auto message = co_await c.recv<text>())
        co_await c.send("<" + *message + ">");
}

void plain_echo(connection c)
{
    while (auto message = sync_wait(c.recv<text>()))
        sync_wait(c.send("<" + *message + ">"));
}

// Passes an end on to whoever is at the other end.
task<> pass_on(connection from, connection to)
{
    auto end = co_await from.recv<connection>();
    co_await to.send(std::move(*end));
}

task<> read_all(connection reader, connection report)
{
    int sum = 0;
    while (auto number = co_await reader.recv<int>())
        sum += *number;
    co_await report.send(sum);
}

task<> write_three(connection writer)
{
    for (int i = 1; i <= 3; ++i)
        co_await writer.send(i);
}

task<> read_one_and_wait(connection c)
{
    static_cast<void>(co_await c.recv<int>());
    static_cast<void>(co_await c.recv<int>());
}

task<text> greet(connection c)
{
    co_await c.send(text{"from a worker"});
    co_return "done";
}

connection make_pair_in_worker(connection far)
{
    auto [here, there] = pipe();
    sync_wait(here.send(text{"made in a worker"}));
    sync_wait(far.send(1));
    return std::move(there);
}

} // namespace

TEST_CASE("an end is an argument of a process by any start method", "[CON-007]")
{
    const auto method = GENERATE(start_method::forkserver, start_method::spawn, start_method::fork);
    in_loop([&]() -> task<> {
        context by{method};
        auto [a, b] = pipe();
        auto p = co_await by.start(echo, std::move(b));
        co_await a.send("x");
        CHECK(co_await a.recv<text>() == "<x>");
        a.close();
        auto end = co_await p.join();
        CHECK(end.code() == 0);
    });
}

TEST_CASE("plain functions use a connection by sync_wait")
{
    in_loop([]() -> task<> {
        auto [a, b] = pipe();
        auto p = co_await process::start(plain_echo, std::move(b));
        for (int i = 0; i < 3; ++i) {
            co_await a.send("y");
            CHECK(co_await a.recv<text>() == "<y>");
        }
        a.close();
        co_await p.join();
    });
}

TEST_CASE("an argument that was not moved is given away all the same, so that the end comes")
{
    in_loop([]() -> task<> {
        auto [a, b] = pipe();
        auto p = co_await process::start(write_three, b);
        CHECK_FALSE(b.valid());
        for (int i = 1; i <= 3; ++i)
            CHECK(co_await a.recv<int>() == i);
        CHECK_FALSE(co_await a.recv<int>());
        co_await p.join();
    });
}

TEST_CASE("an end that was sent through a process works in the next one", "[CON-021][CON-007]")
{
    in_loop([]() -> task<> {
        auto [to_first, first] = pipe();
        auto [second, from_first] = pipe();
        auto [a, b] = pipe();
        auto p = co_await process::start(pass_on, std::move(first), std::move(second));
        co_await to_first.send(std::move(b));
        auto arrived = co_await from_first.recv<connection>();
        REQUIRE(arrived);
        auto q = co_await process::start(echo, std::move(*arrived));
        co_await a.send("far");
        CHECK(co_await a.recv<text>() == "<far>");
        a.close();
        co_await p.join();
        co_await q.join();
    });
}

TEST_CASE("read-only and write-only ends work in other processes, and stay what they are", "[CON-007][CON-021]")
{
    in_loop([]() -> task<> {
        auto [reader, writer] = one_way_pipe();
        auto [here, report] = pipe();
        auto [carrier, far] = pipe();
        auto p = co_await process::start(read_all, std::move(reader), std::move(report));
        co_await carrier.send(writer);
        auto back = co_await far.recv<connection>();
        CHECK_THROWS_AS(back->recv<int>(), usage_error);
        co_await back->send(100);
        auto q = co_await process::start(write_three, std::move(*back));
        CHECK(co_await here.recv<int>() == 106);
        co_await p.join();
        co_await q.join();
    });
}

TEST_CASE("a sender learns that the process at the other end was killed", "[PIP-005]")
{
    in_loop([]() -> task<> {
        auto [a, b] = pipe();
        auto p = co_await process::start(read_one_and_wait, std::move(b));
        co_await a.send(1);
        p.kill();
        co_await p.join();
        auto failure = co_await failure_of(a.send(2));
        CHECK(is<std::system_error>(failure, "other end is closed"));
    });
}

TEST_CASE("ends are arguments and results of tasks", "[CON-007]")
{
    in_loop([]() -> task<> {
        pool workers{1};
        auto [a, b] = pipe();
        CHECK(co_await workers.apply(greet, std::move(b)) == "done");
        CHECK(co_await a.recv<text>() == "from a worker");
        auto [c, d] = pipe();
        auto made = co_await workers.apply(make_pair_in_worker, std::move(d));
        CHECK(co_await made.recv<text>() == "made in a worker");
        CHECK(co_await c.recv<int>() == 1);
        co_await workers.close();
    });
}
