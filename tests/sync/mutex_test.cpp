// A mutex that processes share: who has it, who waits, who dies.
#include "process/support.hpp"
#include "support/eventually.hpp"
#include "support/proc.hpp"
#include "support/slowness.hpp"
#include "sync/copy_of_this.hpp"

#include <coproc/error.hpp>
#include <coproc/mutex.hpp>
#include <coproc/pool.hpp>
#include <coproc/shared_value.hpp>

#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <future>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include <sys/resource.h>
#include <unistd.h>

using namespace coproc;
using namespace tests;
using namespace std::chrono_literals;

namespace {

task<> pause_for(std::chrono::nanoseconds time)
{
    asio::steady_timer timer{co_await asio::this_coro::executor, time};
    co_await timer.async_wait(asio::use_awaitable);
}

task<exit_status> run_in(start_method method, auto f, auto... arguments)
{
    auto start = process::start(by(method), f, arguments...);
    process p = co_await std::move(start);
    auto join = p.join();
    co_return co_await std::move(join);
}

int tries(mutex m) { return m.try_lock() ? 1 : 0; }
int waits_for(mutex m, int milliseconds)
{
    auto got = sync_wait(m.try_acquire_for(std::chrono::milliseconds{milliseconds}));
    return got ? 1 : 0;
}
int takes_and_dies(mutex m)
{
    m.lock();
    ::kill(::getpid(), SIGKILL);
    return 0;
}
int gives_back_after_await(mutex m)
{
    auto held = sync_wait(m.acquire());
    held.release();
    auto again = sync_wait(m.acquire());
    m.unlock();
    return 7;
}
int unlocks(mutex m)
{
    try {
        m.unlock();
    } catch (const usage_error&) {
        return 3;
    }
    return 0;
}
task<int> takes_two_and_a_child_one(mutex a, mutex b, mutex c)
{
    auto first = co_await a.acquire();
    auto second = co_await b.acquire();
    auto start = process::start(takes_and_dies, c);
    process child = co_await std::move(start);
    auto join = child.join();
    co_await std::move(join);
    ::kill(::getpid(), SIGKILL);
    co_return 0;
}
int barges(mutex m, shared_value<int> stop)
{
    while (stop.load() == 0) {
        m.lock();
        m.unlock();
    }
    return 0;
}
int takes_all(std::vector<mutex> all)
{
    for (auto& m : all)
        m.lock();
    int still_free = 0;
    for (auto& m : all)
        still_free += m.locked() ? 0 : 1;
    for (auto& m : all)
        m.unlock();
    return still_free == 0 && all.size() == 10'000 ? 9 : 1;
}
mutex make_taken()
{
    mutex m;
    m.lock();
    m.unlock();
    return m;
}
mutex same(mutex m) { return m; }

std::size_t pages_here()
{
    std::size_t count = 0;
    for (auto& [inode, name] : support::memory_files_mapped_by(::getpid()))
        count += name.find("coproc objects") != std::string::npos;
    return count;
}

} // namespace

TEST_CASE("a mutex is free when its guard ends, by an error too, and releasing it twice has no effect", "[sync][LCK-002]")
{
    mutex m;
    await([&]() -> task<> {
        {
            auto held = co_await m.acquire();
            CHECK(m.locked());
            CHECK(held);
        }
        CHECK_FALSE(m.locked());
        try {
            auto held = co_await m.acquire();
            throw std::runtime_error{"in the middle"};
        } catch (const std::runtime_error&) {
        }
        CHECK_FALSE(m.locked());
        auto first = co_await m.acquire();
        first.release();
        auto second = co_await m.acquire();
        first.release();
        CHECK(m.locked());
        first = std::move(second);
        CHECK(m.locked());
        first = mutex_guard{};
        CHECK_FALSE(m.locked());
    });
}

TEST_CASE("coroutines of one loop get a mutex one after another, and the loop runs on", "[sync][LCK-003]")
{
    mutex m;
    int inside = 0, done = 0, turns_of_the_loop = 0;
    await([&]() -> task<> {
        auto executor = co_await asio::this_coro::executor;
        for (int i = 0; i < 20; ++i)
            asio::co_spawn(
                executor,
                [&]() -> task<> {
                    auto held = co_await m.acquire();
                    CHECK(++inside == 1);
                    for (int j = 0; j < 3; ++j)
                        co_await asio::post(executor, asio::use_awaitable);
                    --inside;
                    ++done;
                },
                asio::detached);
        while (done < 20) {
            ++turns_of_the_loop;
            co_await asio::post(executor, asio::use_awaitable);
        }
    });
    CHECK(turns_of_the_loop > 20);
    CHECK_FALSE(m.locked());
}

TEST_CASE("whether a mutex is taken is told without taking it", "[sync][LCK-014]")
{
    mutex m;
    CHECK_FALSE(m.locked());
    CHECK_FALSE(m.locked());
    m.lock();
    CHECK(m.locked());
    m.unlock();
    CHECK_FALSE(m.locked());
}

TEST_CASE("a guard held over an await keeps other processes out until it is released", "[sync][LCK-015][LCK-016]")
{
    EACH_START_METHOD(method);
    mutex m;
    await([&]() -> task<> {
        auto held = co_await m.acquire();
        auto try_it = run_in(method, tries, m);
        auto tried = co_await std::move(try_it);
        CHECK(tried.code() == 0);
        auto wait_shortly = run_in(method, waits_for, m, 1);
        auto waited = co_await std::move(wait_shortly);
        CHECK(waited.code() == 0);
        CHECK(m.locked());
        auto start = process::start(by(method), waits_for, m, 60'000);
        process waiter = co_await std::move(start);
        held.release();
        auto join = waiter.join();
        auto got = co_await std::move(join);
        CHECK(got.code() == 1);
    });
}

TEST_CASE("a mutex taken by await is freed by a plain call, under every start method", "[sync][LCK-017]")
{
    EACH_START_METHOD(method);
    mutex m;
    await([&]() -> task<> {
        auto run = run_in(method, gives_back_after_await, m);
        auto ended = co_await std::move(run);
        CHECK(ended.code() == 7);
        CHECK(m.try_lock());
        m.unlock();
    });
}

TEST_CASE("whoever takes a mutex whose owner died is told once, and then it is as any other", "[sync][LCK-004]")
{
    EACH_START_METHOD(method);
    mutex m;
    await([&]() -> task<> {
        SECTION("by one that waits")
        {
            auto run = run_in(method, takes_and_dies, m);
            co_await std::move(run);
            auto held = co_await m.acquire();
            CHECK(held.owner_died());
        }
        SECTION("by one that only tries")
        {
            auto run = run_in(method, takes_and_dies, m);
            co_await std::move(run);
            auto held = m.try_acquire();
            REQUIRE(held);
            CHECK(held->owner_died());
        }
        auto next = co_await m.acquire();
        CHECK_FALSE(next.owner_died());
    });
}

TEST_CASE("those that sleep are woken by the owner's death, and one of them is told", "[sync][LCK-004]")
{
    mutex m;
    CHECK_FALSE(m.locked()); // made before it is copied
    copy_of_this owner{[&] {
        m.lock();
        for (;;)
            ::pause();
        return 0;
    }};
    REQUIRE(support::eventually([&] { return m.locked(); }));
    int told = 0, got = 0;
    await([&]() -> task<> {
        auto executor = co_await asio::this_coro::executor;
        for (int i = 0; i < 5; ++i)
            asio::co_spawn(
                executor,
                [&]() -> task<> {
                    auto held = co_await m.acquire();
                    told += held.owner_died();
                    ++got;
                },
                asio::detached);
        std::thread blocked{[&] {
            m.lock();
            m.unlock();
        }};
        for (int i = 0; i < 20; ++i)
            co_await asio::post(executor, asio::use_awaitable);
        CHECK(got == 0);
        ::kill(owner.pid(), SIGKILL);
        while (got < 5)
            co_await pause_for(1ms);
        blocked.join();
    });
    CHECK(told <= 1); // the thread may have been the first
    CHECK_FALSE(m.locked());
}

TEST_CASE("each of the mutexes that a process and its child had is found when they have died", "[sync][LCK-006]")
{
    EACH_START_METHOD(method);
    mutex a, b, c;
    await([&]() -> task<> {
        auto run = run_in(method, takes_two_and_a_child_one, a, b, c);
        co_await std::move(run);
        auto first = co_await a.acquire();
        auto second = co_await b.acquire();
        auto third = co_await c.acquire();
        CHECK((first.owner_died() && second.owner_died() && third.owner_died()));
    });
}

TEST_CASE("a mutex that is not had in time is not had, and its owner is not disturbed", "[sync][LCK-007][LCK-009]")
{
    mutex m;
    m.lock();
    const auto begin = std::chrono::steady_clock::now();
    SECTION("coroutine")
    {
        CHECK_FALSE(sync_wait(m.try_acquire_for(20ms)));
    }
    SECTION("thread")
    {
        bool got = std::async(std::launch::async, [&] { return m.try_lock_for(20ms); }).get();
        CHECK_FALSE(got);
    }
    SECTION("until a time of the steady clock")
    {
        bool got = std::async(std::launch::async, [&] { return m.try_lock_until(begin + 20ms); }).get();
        CHECK_FALSE(got);
    }
    SECTION("until a time of the wall clock")
    {
        bool got = std::async(std::launch::async, [&] { return m.try_lock_until(std::chrono::system_clock::now() + 21ms); }).get();
        CHECK_FALSE(got);
    }
    CHECK(std::chrono::steady_clock::now() - begin >= 20ms);
    CHECK(m.locked());
    m.unlock();
    CHECK_FALSE(m.locked());
}

TEST_CASE("times that have passed long ago, or never will, are times too", "[sync]")
{
    mutex m;
    CHECK(m.try_lock_for(std::chrono::nanoseconds::min()));
    CHECK_FALSE(std::async(std::launch::async, [&] { return m.try_lock_for(std::chrono::nanoseconds::min()); }).get());
    auto later = std::async(std::launch::async, [&] { return m.try_lock_for(std::chrono::nanoseconds::max()); });
    m.unlock();
    CHECK(later.get());
    CHECK_FALSE(sync_wait(m.try_acquire_for(-1s)));
    m.unlock();
}

TEST_CASE("a thread that locks what it has locked gets an error", "[sync][LCK-008]")
{
    mutex m;
    m.lock();
    try {
        m.lock();
        FAIL("locked twice");
    } catch (const std::system_error& e) {
        CHECK(e.code() == std::errc::resource_deadlock_would_occur);
    }
    CHECK_THROWS_AS(m.try_lock_for(1s), std::system_error);
    CHECK_FALSE(m.try_lock());
    m.unlock();
    m.lock();
    m.unlock();
}

TEST_CASE("only the process that has a mutex can unlock it", "[sync]")
{
    mutex m;
    CHECK_THROWS_AS(m.unlock(), usage_error);
    m.lock();
    await([&]() -> task<> {
        auto run = run_in(start_method::forkserver, unlocks, m);
        auto ended = co_await std::move(run);
        CHECK(ended.code() == 3);
    });
    CHECK(m.locked());
    copy_of_this copy{[&] { return unlocks(m); }};
    CHECK(WEXITSTATUS(copy.end()) == 3);
    m.unlock();
    CHECK_THROWS_AS(m.unlock(), usage_error);
}

TEST_CASE("a copy of a process leaves its guards alone", "[sync]")
{
    mutex m;
    auto held = m.try_acquire();
    REQUIRE(held);
    copy_of_this copy{[&] {
        held->release();
        return m.locked() ? 4 : 5;
    }};
    CHECK(WEXITSTATUS(copy.end()) == 4);
    CHECK(m.locked());
}

TEST_CASE("a copy of a process can use the handles that it inherited", "[sync]")
{
    mutex m;
    CHECK_FALSE(m.locked()); // made before it is copied
    copy_of_this copy{[&] {
        for (int i = 0; i < 3; ++i)
            auto held = sync_wait(m.acquire());
        return m.locked() ? 4 : 5;
    }};
    CHECK(WEXITSTATUS(copy.end()) == 5);
}

TEST_CASE("a thread goes on waiting and being woken when a copy of it has ended", "[sync]")
{
    mutex m;
    m.lock();
    std::atomic<pid_t> number = 0;
    std::thread other{[&] {
        CHECK_FALSE(m.try_lock_for(1ms)); // from now on it has a doorbell
        {
            copy_of_this copy{[] {
                pthread_key_t after_all_else;
                ::pthread_key_create(&after_all_else, [](void*) { ::_exit(3); });
                ::pthread_setspecific(after_all_else, &after_all_else);
                ::pthread_exit(nullptr); // destroys what belongs to the thread
                return 0;
            }};
            CHECK(WEXITSTATUS(copy.end()) == 3);
        }
        number = ::gettid();
        m.lock();
        m.unlock();
    }};
    REQUIRE(support::eventually([&] { return number != 0 && support::state_of(number) == 'S'; }));
    m.unlock();
    other.join();
}

TEST_CASE("coroutines go on waiting and being woken when a copy of their loop was run and destroyed", "[sync]")
{
    mutex m;
    m.lock();
    auto loop = std::make_unique<asio::io_context>();
    bool got = false;
    asio::co_spawn(
        *loop,
        [&]() -> task<> {
            auto held = co_await m.acquire();
            got = true;
        },
        asio::detached);
    loop->poll();
    loop->notify_fork(asio::execution_context::fork_prepare);
    int ready[2];
    REQUIRE(::pipe(ready) == 0);
    copy_of_this copy{[&] {
        char byte;
        loop->notify_fork(asio::execution_context::fork_child);
        static_cast<void>(!::read(ready[0], &byte, 1)); // the original was rung meanwhile
        loop->poll();
        loop.reset();
        return got ? 4 : 5;
    }};
    loop->notify_fork(asio::execution_context::fork_parent);
    const bool rung_before = GENERATE(true, false);
    if (rung_before)
        m.unlock();
    static_cast<void>(!::write(ready[1], "", 1));
    CHECK(WEXITSTATUS(copy.end()) == 5);
    if (!rung_before)
        m.unlock();
    loop->run();
    CHECK(got);
    CHECK_FALSE(m.locked());
    ::close(ready[0]);
    ::close(ready[1]);
}

TEST_CASE("one that is killed while it waits takes nobody's turn", "[sync]")
{
    mutex m;
    m.lock();
    copy_of_this waiter{[&] {
        m.lock();
        return 0;
    }};
    copy_of_this other{[&] {
        m.lock();
        m.unlock();
        return 6;
    }};
    REQUIRE(support::eventually([&] { return support::state_of(waiter.pid()) == 'S' && support::state_of(other.pid()) == 'S'; }));
    ::kill(waiter.pid(), SIGKILL);
    m.unlock();
    CHECK(WEXITSTATUS(other.end()) == 6);
}

TEST_CASE("one that is stopped while it waits gets it when it goes on, and others don't wait for it", "[sync]")
{
    mutex m;
    m.lock();
    copy_of_this waiter{[&] {
        m.lock();
        m.unlock();
        return 8;
    }};
    REQUIRE(support::eventually([&] { return support::state_of(waiter.pid()) == 'S'; }));
    ::kill(waiter.pid(), SIGSTOP);
    REQUIRE(support::eventually([&] { return support::state_of(waiter.pid()) == 'T'; }));
    m.unlock();
    for (int i = 0; i < 50; ++i) {
        m.lock();
        m.unlock();
    }
    ::kill(waiter.pid(), SIGCONT);
    CHECK(WEXITSTATUS(waiter.end()) == 8);
}

TEST_CASE("waiting for a mutex can be cancelled, and leaves no trace", "[sync]")
{
    using namespace asio::experimental::awaitable_operators;
    mutex m;
    await([&]() -> task<> {
        auto held = co_await m.acquire();
        SECTION("by a timer beside it")
        {
            auto either = m.acquire() || pause_for(5ms);
            auto result = co_await std::move(either);
            CHECK(result.index() == 1);
        }
        SECTION("by a cancellation slot")
        {
            asio::cancellation_signal signal;
            bool cancelled = false;
            auto executor = co_await asio::this_coro::executor;
            asio::co_spawn(
                executor, [&]() -> task<> { auto other = co_await m.acquire(); },
                asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr e) {
                    try {
                        std::rethrow_exception(e);
                    } catch (const std::system_error& error) {
                        cancelled = error.code() == asio::error::operation_aborted;
                    }
                }));
            for (int i = 0; i < 5; ++i)
                co_await asio::post(executor, asio::use_awaitable);
            signal.emit(asio::cancellation_type::terminal);
            while (!cancelled)
                co_await asio::post(executor, asio::use_awaitable);
        }
        CHECK(m.locked());
        held.release();
        CHECK_FALSE(m.locked());
        auto again = co_await m.acquire();
        CHECK_FALSE(again.owner_died());
    });
}

TEST_CASE("a loop that is destroyed with coroutines that wait hands on what they were woken for", "[sync]")
{
    mutex m;
    for (bool timer_first : {false, true}) {
        m.lock();
        auto doomed = std::make_unique<asio::io_context>();
        if (timer_first)
            asio::steady_timer{*doomed, 1h};
        for (int i = 0; i < 3; ++i)
            asio::co_spawn(*doomed, [](mutex its) -> task<> { auto held = co_await its.acquire(); }(m), asio::detached);
        doomed->poll();
        copy_of_this other{[&] {
            m.lock();
            m.unlock();
            return 6;
        }};
        REQUIRE(support::eventually([&] { return support::state_of(other.pid()) == 'S'; }));
        m.unlock(); // rings the loop, or the other process
        doomed.reset();
        CHECK(WEXITSTATUS(other.end()) == 6);
        CHECK_FALSE(m.locked());
    }
}

TEST_CASE("one that locks and unlocks without a pause starves nobody", "[sync]")
{
    mutex m;
    CHECK_FALSE(m.locked()); // made before it is copied
    shared_value<int> stop;
    stop.store(0);
    copy_of_this barger{[&] { return barges(m, stop); }}, other{[&] { return barges(m, stop); }};
    for (int i = 0; i < 200; ++i) {
        auto held = sync_wait(m.acquire());
        CHECK_FALSE(held.owner_died());
    }
    for (int i = 0; i < 200; ++i) {
        m.lock();
        m.unlock();
    }
    stop.store(1);
    CHECK(WEXITSTATUS(barger.end()) == 0);
    CHECK(WEXITSTATUS(other.end()) == 0);
}

TEST_CASE("ten thousand mutexes take few descriptors, and go to a child in one message", "[sync]")
{
    EACH_START_METHOD(method);
    rlimit before{};
    ::getrlimit(RLIMIT_NOFILE, &before);
    rlimit few{std::min<rlim_t>(256, before.rlim_max), before.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &few);
    {
        std::vector<mutex> all(10'000);
        await([&]() -> task<> {
            auto run = run_in(method, takes_all, all);
            auto ended = co_await std::move(run);
            CHECK(ended.code() == 9);
        });
        CHECK(pages_here() <= 10);
    }
    CHECK(pages_here() == 0);
    ::setrlimit(RLIMIT_NOFILE, &before);
}

TEST_CASE("a mutex lives on in whoever has a handle when its maker is gone", "[sync]")
{
    await([&]() -> task<> {
        mutex here;
        {
            pool makers{{.workers = 1}};
            auto made = makers.apply(make_taken);
            here = co_await std::move(made);
            auto close = makers.close();
            co_await std::move(close);
        }
        pool others{{.workers = 1}};
        here.lock();
        auto send = others.apply(same, here);
        auto back = co_await std::move(send);
        CHECK(back == here);
        CHECK(back.locked());
        auto tried = others.apply(tries, back);
        auto result = co_await std::move(tried);
        CHECK(result == 0);
        back.unlock();
        auto close = others.close();
        co_await std::move(close);
        CHECK_FALSE(here.locked());
        CHECK(pages_here() == 1);
    });
    CHECK(pages_here() == 0);
}

TEST_CASE("empty and moved from handles are mutexes of their own", "[sync]")
{
    mutex a;
    a.lock();
    mutex b = std::move(a);
    CHECK(b.locked());
    CHECK_FALSE(a.locked());
    CHECK_FALSE(a == b);
    mutex c = a;
    CHECK(c == a);
    a.lock();
    CHECK(c.locked());
    a.unlock();
    b.unlock();
    a = b;
    CHECK(a == b);
    auto& itself = a;
    a = itself;
    CHECK(a == b);
}
