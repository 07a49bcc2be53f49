// What several threads of one process do with connections and queues.
#include "channels/connected.hpp"
#include "pool/tasks.hpp"

#include <coproc/pipe.hpp>
#include <coproc/process.hpp>
#include <coproc/queue.hpp>
#include <coproc/wait_any.hpp>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>

#include <atomic>
#include <numeric>
#include <thread>
#include <vector>

using namespace channels_test;
using namespace coproc;
using namespace pool_test;

namespace {

task<> send_much(connection c)
{
    const std::vector<char> big(16 << 20, 'b');
    co_await c.send(big);
}

} // namespace

TEST_CASE("threads send and receive over the same ends", "[PIP-011][threads]")
{
    auto [a, b] = connected(GENERATE(pipes, one_socket));
    std::atomic<int> sum{0};
    std::vector<std::thread> threads;
    for (int id = 0; id < 3; ++id) {
        threads.emplace_back([&, &out = a] {
            for (int i = 0; i < 200; ++i)
                sync_wait(out.send(std::vector<int>(static_cast<std::size_t>(i) * 37, 1)));
        });
        threads.emplace_back([&, &in = b] {
            for (int i = 0; i < 200; ++i) {
                auto got = sync_wait(in.recv<std::vector<int>>());
                sum += std::accumulate(got->begin(), got->end(), 0);
            }
        });
    }
    for (auto& t : threads)
        t.join();
    CHECK(sum == 3 * 37 * 199 * 200 / 2);
}

TEST_CASE("a connection goes on on another loop, also when its first one is gone", "[threads]")
{
    auto [a, b] = connected(GENERATE(pipes, one_socket));
    auto echo = [](connection& c) -> task<> {
        auto got = co_await c.recv<int>();
        co_await c.send(*got + 1);
    };
    {
        asio::io_context loop;
        asio::co_spawn(loop, echo(b), asio::detached);
        sync_wait(a.send(1));
        loop.run();
    }
    CHECK(sync_wait(a.recv<int>()) == 2);
    {
        asio::io_context loop; // ends while the receiver waits, and another one for its turn
        asio::co_spawn(loop, echo(b), asio::detached);
        asio::co_spawn(loop, echo(b), asio::detached);
        loop.poll();
    }
    std::thread other{[&, &in = b] { sync_wait(echo(in)); }};
    sync_wait(a.send(5));
    CHECK(sync_wait(a.recv<int>()) == 6);
    other.join();
}

TEST_CASE("a peer that is killed in the middle of a message costs the connection only", "[threads]")
{
    in_loop([]() -> task<> {
        auto [a, b] = pipe();
        auto p = co_await process::start(send_much, std::move(b));
        static_cast<void>(co_await wait_any(a)); // the first bytes of many more than a socket takes at a time
        p.kill();
        co_await p.join();
        auto failure = co_await failure_of(a.recv<std::vector<char>>());
        CHECK(is<protocol_error>(failure, "in the middle of a message"));
        CHECK(a.closed());
    });
}

TEST_CASE("threads of one process put and get side by side", "[threads]")
{
    queue<int> q{4};
    std::atomic<long> sum{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 2; ++t) {
        threads.emplace_back([&q] {
            sync_wait([](queue<int> to) -> task<> {
                for (int i = 1; i <= 1000; ++i)
                    co_await to.put(i);
            }(q));
        });
        threads.emplace_back([&q, &sum] {
            for (int i = 0; i < 1000; ++i)
                sum += sync_wait(q.get()).value();
        });
    }
    for (auto& t : threads)
        t.join();
    CHECK(sum == 2 * 500'500);
    CHECK(q.empty());
}
