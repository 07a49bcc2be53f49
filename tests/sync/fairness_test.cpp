// Coroutines that never have to wait leave their loop to others all the same.
#include "sync/parties.hpp"

#include <coproc/barrier.hpp>
#include <coproc/condition.hpp>
#include <coproc/event.hpp>
#include <coproc/latch.hpp>
#include <coproc/mutex.hpp>
#include <coproc/recursive_mutex.hpp>
#include <coproc/semaphore.hpp>
#include <coproc/shared_mutex.hpp>
#include <coproc/shared_value.hpp>

#include <asio/experimental/awaitable_operators.hpp>

#include <functional>

using namespace coproc;
using namespace sync_test;

namespace {

task<> for_ever(const std::function<task<>()>& step)
{
    for (;;) {
        auto once = step();
        co_await std::move(once);
    }
}

task<> a_moment()
{
    asio::steady_timer timer{co_await asio::this_coro::executor, 1ms};
    auto end = timer.async_wait(asio::use_awaitable);
    co_await std::move(end);
}

/// Ends only if the timer comes to its turn, and the loop of steps can be cancelled.
void leaves_turns(std::function<task<>()> step)
{
    in_loop([&]() -> task<> {
        using namespace asio::experimental::awaitable_operators;
        auto either = for_ever(step) || a_moment();
        const auto first = co_await std::move(either);
        CHECK(first.index() == 1);
    });
}

template <class T>
task<> drop(task<T> work)
{
    static_cast<void>(co_await std::move(work));
}

} // namespace

TEST_CASE("who takes a mutex again and again, and nobody else does, leaves turns to the loop")
{
    leaves_turns([m = mutex{}] { return drop(m.acquire()); });
    leaves_turns([m = mutex{}] { return drop(m.try_acquire_for(1h)); });
    leaves_turns([m = recursive_mutex{}] { return drop(m.acquire()); });
    leaves_turns([m = shared_mutex{}] { return drop(m.acquire()); });
    leaves_turns([m = shared_mutex{}] { return drop(m.acquire_shared()); });
    leaves_turns([c = condition{}] { return drop(c.acquire()); });
}

TEST_CASE("who takes a permit again and again leaves turns to the loop")
{
    leaves_turns([s = semaphore{1}] { return drop(s.acquire()); });
    leaves_turns([s = semaphore{1}] { return drop(s.try_acquire_for(1h)); });
}

TEST_CASE("who waits again and again for what has happened leaves turns to the loop")
{
    event e;
    e.set();
    leaves_turns([e] { return e.wait(); });
    leaves_turns([e] { return drop(e.wait_for(1h)); });
    leaves_turns([l = latch{0}] { return l.wait(); });
    leaves_turns([b = barrier{1}] { return drop(b.arrive_and_wait()); });
}

TEST_CASE("who updates a value again and again, or waits for one that has changed, leaves turns to the loop")
{
    shared_value<int> value{1};
    leaves_turns([value] { return drop(value.update([](int& v) { return ++v; })); });
    leaves_turns([value] { return value.wait(0); });
}
