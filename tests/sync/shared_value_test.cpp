// One value in shared memory.
#include "process/support.hpp"
#include "support/eventually.hpp"
#include "support/proc.hpp"
#include "support/slowness.hpp"
#include "sync/copy_of_this.hpp"

#include <coproc/error.hpp>
#include <coproc/shared_value.hpp>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace coproc;
using namespace tests;
using namespace std::chrono_literals;

namespace {

struct triple {
    std::int64_t a = 0, b = 0, c = 0;
    bool operator==(const triple&) const = default;
};
struct alignas(32) wide {
    float parts[8] = {};
};

int writes(shared_value<int> i, shared_value<short> s, shared_value<double> d, shared_value<std::int64_t> l, shared_value<char> c,
           shared_value<bool> b)
{
    i.store(-7);
    s.store(30'000);
    d.store(0.1);
    l.store(std::numeric_limits<std::int64_t>::min());
    c.store('x');
    b.store(true);
    return 4;
}
int doubles(shared_value<triple> t)
{
    triple now = t.load();
    t.store({now.a * 2, now.b * 2, now.c * 2});
    return 4;
}
task<int> adds_by_update(shared_value<triple> t, int times)
{
    for (int i = 0; i < times; ++i) {
        auto turn = t.update([](triple& now) {
            ++now.a;
            ++now.b;
            ++now.c;
        });
        co_await std::move(turn);
    }
    co_return 4;
}
task<int> adds_small_by_update(shared_value<int> n, int times)
{
    for (int i = 0; i < times; ++i) {
        auto turn = n.update([](int& now) { ++now; });
        co_await std::move(turn);
        n.fetch_add(1);
    }
    co_return 4;
}
task<int> waits(shared_value<int> n, int old)
{
    auto turn = n.wait(old);
    co_await std::move(turn);
    co_return n.load();
}

} // namespace

TEST_CASE("what a child writes to a value of any small type, the parent reads", "[sync][VAL-001]")
{
    EACH_START_METHOD(method);
    shared_value<int> i;
    shared_value<short> s;
    shared_value<double> d;
    shared_value<std::int64_t> l;
    shared_value<char> c;
    shared_value<bool> b;
    CHECK((i.load() == 0 && s.load() == 0 && d.load() == 0 && l.load() == 0 && c.load() == 0 && !b.load()));
    await([&]() -> task<> {
        auto start = process::start(by(method), writes, i, s, d, l, c, b);
        process p = co_await std::move(start);
        auto join = p.join();
        auto ended = co_await std::move(join);
        CHECK(ended.code() == 4);
    });
    CHECK(i.load() == -7);
    CHECK(s.load() == 30'000);
    CHECK(d.load() == 0.1);
    CHECK(l.load() == std::numeric_limits<std::int64_t>::min());
    CHECK(c.load() == 'x');
    CHECK(b.load());
}

TEST_CASE("a child doubles the fields of a struct, and a copy that was loaded before stays as it was", "[sync][VAL-004]")
{
    shared_value<triple> t{triple{1, 2, 3}};
    const triple before = t.load();
    await([&]() -> task<> {
        auto start = process::start(doubles, t);
        process p = co_await std::move(start);
        auto join = p.join();
        co_await std::move(join);
    });
    CHECK(t.load() == triple{2, 4, 6});
    CHECK(before == triple{1, 2, 3});
}

TEST_CASE("values begin as they were given, and their functions give what was before", "[sync]")
{
    shared_value<int> n{5};
    CHECK(n.exchange(6) == 5);
    CHECK(n.fetch_add(4) == 6);
    CHECK(n.fetch_sub(1) == 10);
    CHECK(n.fetch_and(12) == 9);
    CHECK(n.fetch_or(3) == 8);
    CHECK(n.fetch_xor(1) == 11);
    CHECK(n.load() == 10);
    int expected = 9;
    CHECK_FALSE(n.compare_exchange(expected, 1));
    CHECK(expected == 10);
    CHECK(n.compare_exchange(expected, 1));
    CHECK(n.load() == 1);
    shared_value<double> d{1.5};
    CHECK(d.fetch_add(0.25) == 1.5);
    CHECK(d.fetch_sub(1) == 1.75);
    shared_value<triple> t{triple{1, 2, 3}};
    CHECK(t.exchange({4, 5, 6}) == triple{1, 2, 3});
    triple other{1, 2, 3};
    CHECK_FALSE(t.compare_exchange(other, {7, 8, 9}));
    CHECK(other == triple{4, 5, 6});
    CHECK(t.compare_exchange(other, {7, 8, 9}));
    CHECK(t.load() == triple{7, 8, 9});
}

TEST_CASE("a value of a type with a large alignment is aligned", "[sync]")
{
    shared_value<wide> w;
    wide now;
    now.parts[7] = 1.5F;
    w.store(now);
    CHECK(w.load().parts[7] == 1.5F);
}

TEST_CASE("a large value is never seen half changed", "[sync]")
{
    shared_value<triple> t{triple{}};
    copy_of_this writer{[&] {
        for (std::int64_t i = 0;; ++i)
            t.store({i, i, i});
        return 0;
    }};
    std::int64_t last = 0;
    int changes = 0;
    while (changes < 300) {
        const triple now = t.load();
        REQUIRE((now.a == now.b && now.b == now.c && now.a >= last));
        changes += now.a != last;
        last = now.a;
    }
}

TEST_CASE("a process that dies in the middle of a change has changed nothing", "[sync]")
{
    shared_value<triple> t{triple{1, 1, 1}};
    SECTION("in update")
    {
        copy_of_this dies{[&] {
            sync_wait(t.update([](triple& now) {
                now.a = 9;
                ::kill(::getpid(), SIGKILL);
            }));
            return 0;
        }};
        dies.end();
        CHECK(t.load() == triple{1, 1, 1});
    }
    SECTION("at any moment")
    {
        for (int i = 0; i < 200 / support::slowness; ++i) {
            copy_of_this writer{[&] {
                for (std::int64_t n = 2;; ++n)
                    t.store({n, n, n});
                return 0;
            }};
            for (int j = 0; j < i * 100; ++j)
                std::atomic_signal_fence(std::memory_order_seq_cst);
            ::kill(writer.pid(), SIGKILL);
            writer.end();
            const triple now = t.load();
            REQUIRE((now.a == now.b && now.b == now.c));
        }
    }
    sync_wait(t.update([](triple& now) { now = {3, 3, 3}; }));
    CHECK(t.load() == triple{3, 3, 3});
}

TEST_CASE("an update that throws changes nothing, and the next one goes on", "[sync]")
{
    shared_value<triple> t{triple{1, 1, 1}};
    shared_value<int> n{1};
    CHECK_THROWS_AS(sync_wait(t.update([](triple& now) {
        now.a = 5;
        throw std::runtime_error{"no"};
    })),
                    std::runtime_error);
    CHECK_THROWS_AS(sync_wait(n.update([](int& now) -> int {
        now = 5;
        throw std::runtime_error{"no"};
    })),
                    std::runtime_error);
    CHECK(t.load() == triple{1, 1, 1});
    CHECK(n.load() == 1);
    CHECK(sync_wait(n.update([](int& now) { return now++ + 10; })) == 11);
    CHECK(sync_wait(t.update([](triple& now) { return now.b = 7; })) == 7);
    CHECK(n.load() == 2);
    CHECK(t.load() == triple{1, 7, 1});
}

TEST_CASE("updates of several processes see each other's results", "[sync][VAL-005]")
{
    const int times = 2000 / support::slowness;
    shared_value<triple> t;
    shared_value<int> n{0};
    await([&]() -> task<> {
        std::vector<process> all;
        for (int i = 0; i < 3; ++i) {
            auto start = process::start(adds_by_update, t, times);
            all.push_back(co_await std::move(start));
            auto small = process::start(adds_small_by_update, n, times);
            all.push_back(co_await std::move(small));
        }
        for (auto& p : all) {
            auto join = p.join();
            auto ended = co_await std::move(join);
            CHECK(ended.code() == 4);
        }
    });
    CHECK(t.load() == triple{3L * times, 3L * times, 3L * times});
    CHECK(n.load() == 3 * 2 * times); // fetch_add and update lose nothing of each other
}

TEST_CASE("who waits for a change is woken by another process, under every start method", "[sync]")
{
    EACH_START_METHOD(method);
    shared_value<int> n{0};
    await([&]() -> task<> {
        auto start = process::start(by(method), waits, n, 0);
        process p = co_await std::move(start);
        n.store(17);
        auto join = p.join();
        auto ended = co_await std::move(join);
        CHECK(ended.code() == 17);
    });
}

TEST_CASE("a change that is none wakes nobody for good, and the one after it does", "[sync]")
{
    shared_value<int> n{0};
    await([&]() -> task<> {
        auto executor = co_await asio::this_coro::executor;
        bool woken = false;
        asio::co_spawn(
            executor,
            [&]() -> task<> {
                auto turn = n.wait(0);
                co_await std::move(turn);
                woken = true;
            },
            asio::detached);
        for (int i = 0; i < 50; ++i) {
            n.store(0);
            co_await asio::post(executor, asio::use_awaitable);
        }
        CHECK_FALSE(woken);
        n.store(1);
        while (!woken)
            co_await asio::post(executor, asio::use_awaitable);
    });
}

TEST_CASE("who waits is woken though the one who changed the value died before it could say so", "[sync]")
{
    for (int i = 0; i < 100 / support::slowness; ++i) {
        shared_value<int> n{0};
        copy_of_this writer{[&] {
            mutex{}.lock(); // known from now on
            for (int j = 0; j < i * 50; ++j)
                std::atomic_signal_fence(std::memory_order_seq_cst);
            std::thread{[&] { n.store(1); }}.detach();
            ::kill(::getpid(), SIGKILL);
            return 0;
        }};
        std::thread reaper{[&] {
            writer.end();
            if (n.load() == 0)
                n.store(2);
        }};
        sync_wait(n.wait(0));
        reaper.join();
        CHECK(n.load() != 0);
    }
}

TEST_CASE("waiting for a change can be cancelled", "[sync]")
{
    using namespace asio::experimental::awaitable_operators;
    shared_value<triple> t;
    await([&]() -> task<> {
        asio::steady_timer timer{co_await asio::this_coro::executor, 5ms};
        auto either = t.wait(triple{}) || timer.async_wait(asio::use_awaitable);
        auto result = co_await std::move(either);
        CHECK(result.index() == 1);
        t.store({1, 2, 3});
        auto turn = t.wait(triple{});
        co_await std::move(turn);
    });
}
