// Queues and connections that always have something leave their loop to others all the same.
#include "pool/tasks.hpp"

#include <coproc/pipe.hpp>
#include <coproc/queue.hpp>
#include <coproc/wait_any.hpp>

#include <asio/experimental/awaitable_operators.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

using namespace coproc;
using namespace pool_test;
using namespace std::chrono_literals;

namespace {

task<> a_moment()
{
    asio::steady_timer timer{co_await asio::this_coro::executor, 1ms};
    auto end = timer.async_wait(asio::use_awaitable);
    co_await std::move(end);
}

task<> put_and_get(queue<int> q)
{
    for (;;) {
        co_await q.put(1);
        co_await q.get();
    }
}

task<> look(connection& end)
{
    for (bool there = true; there;) {
        auto poll = end.poll();
        there = co_await std::move(poll);
    }
}

task<> wait_for_any(queue<int> q, connection& end)
{
    for (;;)
        co_await wait_any(q, end);
}

/// Ends only if the timer comes to its turn, and `work` can be cancelled.
task<> leaves_turns(task<> work)
{
    using namespace asio::experimental::awaitable_operators;
    auto either = std::move(work) || a_moment();
    const auto first = co_await std::move(either);
    CHECK(first.index() == 1);
}

} // namespace

TEST_CASE("who puts and gets again and again, and never waits, leaves turns to the loop")
{
    in_loop([]() -> task<> { co_await leaves_turns(put_and_get(queue<int>{})); });
}

TEST_CASE("who looks again and again for what is there leaves turns to the loop")
{
    in_loop([]() -> task<> {
        auto [here, there] = pipe();
        co_await there.send(1);
        co_await leaves_turns(look(here));
        queue<int> q;
        q.try_put(1);
        co_await leaves_turns(wait_for_any(q, here));
    });
}
