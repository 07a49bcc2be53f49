// What several threads of one process do with what processes share.
#include "sync/in_line.hpp"
#include "sync/parties.hpp"
#include "sync/place_for_one.hpp"

#include <coproc/barrier.hpp>
#include <coproc/condition.hpp>
#include <coproc/event.hpp>
#include <coproc/latch.hpp>
#include <coproc/mutex.hpp>
#include <coproc/recursive_mutex.hpp>
#include <coproc/semaphore.hpp>
#include <coproc/shared_mutex.hpp>
#include <coproc/shared_value.hpp>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/strand.hpp>
#include <asio/thread_pool.hpp>

#include <algorithm>
#include <atomic>
#include <future>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <vector>

using namespace coproc;
using namespace sync_test;
using detail::gate, detail::has_word, detail::wake_one;

namespace {

/// In line at a gate when it is made.
class sleeping_thread {
public:
    explicit sleeping_thread(gate& at)
        : thread_{[this, &at] {
              blocked b{at};
              in_line_ = true;
              in_line_.notify_one();
              woken_ = b.sleep();
          }}
    {
        in_line_.wait(false);
    }
    /// Waits for its end.
    bool is_woken()
    {
        thread_.join();
        return woken_;
    }

private:
    std::atomic<bool> in_line_{false};
    bool woken_ = false;
    std::thread thread_;
};

} // namespace

TEST_CASE("a thread sleeps until another one rings it", "[sync][threads]")
{
    gate at{};
    sleeping_thread sleeper{at};
    CHECK(wake_one(at, everybody()));
    CHECK(sleeper.is_woken());
    CHECK_FALSE(has_word(at));
}

TEST_CASE("the death of a process that came after somebody fell asleep wakes him too", "[sync][threads]")
{
    gate at{};
    sleeping_thread sleeper{at};
    in_loop([]() -> task<> {
        shared_value<int> here{0};
        auto start = process::start(takes_part, here);
        process p = co_await std::move(start);
        auto arrival = reaches(here, 1);
        co_await std::move(arrival);
        auto end = killed(p);
        co_await std::move(end);
    });
    CHECK(sleeper.is_woken());
}

TEST_CASE("more may wait than a gate has places, and all of them get their turn", "[sync][threads]")
{
    mutex m;
    std::atomic<bool> stop = false;
    std::vector<int> turns(24, 0);
    std::vector<std::thread> threads;
    for (auto& count : turns)
        threads.emplace_back([&] {
            while (!stop) {
                m.lock();
                if (++count == 10 && std::ranges::all_of(turns, [](int n) { return n >= 10; }))
                    stop = true;
                m.unlock();
            }
        });
    for (auto& one : threads)
        one.join();
    CHECK(std::ranges::all_of(turns, [](int n) { return n >= 10; }));
}

TEST_CASE("coroutines of a loop that several threads run get a mutex one after another", "[sync][threads]")
{
    mutex m;
    int count = 0, inside = 0;
    const auto work = [&]() -> task<> {
        for (int j = 0; j < 100; ++j) {
            auto held = co_await m.acquire();
            inside += ++inside == 1 ? -1 : 1000;
            ++count;
        }
    };
    SECTION("io_context")
    {
        asio::io_context loop;
        for (int i = 0; i < 20; ++i)
            asio::co_spawn(loop, work(), asio::detached);
        std::vector<std::thread> threads;
        for (int i = 0; i < 3; ++i)
            threads.emplace_back([&] { loop.run(); });
        for (auto& one : threads)
            one.join();
    }
    SECTION("thread_pool")
    {
        asio::thread_pool threads{3};
        for (int i = 0; i < 20; ++i)
            asio::co_spawn(threads, work(), asio::detached);
        threads.join();
    }
    SECTION("a strand for each")
    {
        asio::io_context loop;
        for (int i = 0; i < 20; ++i)
            asio::co_spawn(asio::make_strand(loop), work(), asio::detached);
        std::vector<std::thread> threads;
        for (int i = 0; i < 3; ++i)
            threads.emplace_back([&] { loop.run(); });
        for (auto& one : threads)
            one.join();
    }
    CHECK(count == 2000);
    CHECK(inside == 0);
    CHECK_FALSE(m.locked());
}

TEST_CASE("a coroutine is woken though another strand of its loop is blocked", "[sync][threads]")
{
    mutex m, second;
    second.lock();
    m.lock();
    asio::io_context loop;
    auto blocked = asio::make_strand(loop), free = asio::make_strand(loop);
    std::promise<void> first_waits, got;
    // The first one that waits comes from the strand that will be blocked.
    asio::co_spawn(blocked, [&]() -> task<> { auto held = co_await second.acquire(); }, asio::detached);
    loop.poll();
    asio::co_spawn(
        free,
        [&]() -> task<> {
            {
                auto held = co_await m.acquire();
            }
            got.set_value();
        },
        asio::detached);
    loop.poll();
    asio::post(blocked, [&] { got.get_future().wait(); });
    std::thread a{[&] { loop.run(); }}, b{[&] { loop.run(); }};
    m.unlock();
    second.unlock();
    a.join();
    b.join();
}

TEST_CASE("threads share a recursive mutex", "[threads]")
{
    coproc::recursive_mutex m;
    int number = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 300; ++i) {
                std::scoped_lock outer{m};
                std::scoped_lock inner{m};
                ++number;
            }
        });
    for (auto& t : threads)
        t.join();
    CHECK(number == 900);
}

TEST_CASE("threads share a semaphore", "[threads]")
{
    semaphore s{2};
    std::atomic<int> inside{0}, most{0}, rounds{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 500; ++i) {
                std::scoped_lock permit{s};
                int now = ++inside;
                for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
                }
                ++rounds;
                --inside;
            }
        });
    for (auto& t : threads)
        t.join();
    CHECK(rounds == 2000);
    CHECK(most <= 2);
    CHECK(s.value() == 2);
}

TEST_CASE("threads wait for one condition", "[threads]")
{
    condition c;
    shared_value<int> place, left{200}, sum;
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i) {
        threads.emplace_back([&] { sync_wait(take(c, place, left, sum)); });
        threads.emplace_back([&] { sync_wait(put(c, place, 100)); });
    }
    for (auto& t : threads)
        t.join();
    CHECK(sum.load() == 2 * 5050);
}

TEST_CASE("threads share an event and a latch", "[threads]")
{
    event begin;
    latch end{4};
    std::atomic<int> too_early{0};
    std::atomic<bool> began{false};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&] {
            sync_wait(begin.wait());
            too_early += began ? 0 : 1;
            sync_wait(end.arrive_and_wait());
        });
    began = true;
    begin.set();
    for (auto& t : threads)
        t.join();
    CHECK(too_early == 0);
    CHECK(end.try_wait());
}

TEST_CASE("threads meet at a barrier", "[threads]")
{
    barrier b{3};
    std::atomic<int> arrived{0}, wrong{0}, leaders{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t)
        threads.emplace_back([&] {
            sync_wait([](barrier& meet, std::atomic<int>& count, std::atomic<int>& errors, std::atomic<int>& first) -> task<> {
                for (int round = 1; round <= 100; ++round) {
                    ++count;
                    const bool last = co_await meet.arrive_and_wait();
                    first += last ? 1 : 0;
                    errors += count < 3 * round ? 1 : 0;
                }
            }(b, arrived, wrong, leaders));
        });
    for (auto& t : threads)
        t.join();
    CHECK(arrived == 300);
    CHECK(leaders == 100);
    CHECK(wrong == 0);
}

TEST_CASE("threads share a shared mutex", "[threads]")
{
    coproc::shared_mutex m;
    int number = 0;
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 2; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < 300; ++i) {
                std::unique_lock writing{m};
                number += 2;
            }
        });
        threads.emplace_back([&] {
            for (int i = 0; i < 300; ++i) {
                std::shared_lock reading{m};
                wrong += number % 2;
            }
        });
    }
    for (auto& t : threads)
        t.join();
    CHECK(number == 1200);
    CHECK(wrong == 0);
}

TEST_CASE("whoever changes a value wakes all that wait for it", "[sync][threads]")
{
    shared_value<int> n{0};
    std::vector<std::thread> threads;
    std::atomic<int> woken = 0, about = 0;
    for (int i = 0; i < 20; ++i)
        threads.emplace_back([&] {
            ++about;
            sync_wait(n.wait(0));
            ++woken;
        });
    while (about < 20)
        std::this_thread::yield();
    n.fetch_add(1);
    for (auto& one : threads)
        one.join();
    CHECK(woken == 20);
    sync_wait(n.wait(0)); // it is changed already
}
