#include "sync/parties.hpp"

#include <coproc/shared_mutex.hpp>

#include <mutex>
#include <shared_mutex>
#include <vector>

using namespace coproc;
using namespace sync_test;

namespace {

task<> be_reader(coproc::shared_mutex m, shared_value<int> holding)
{
    auto first = co_await m.acquire_shared();
    auto second = co_await m.acquire_shared();
    holding.fetch_add(1);
    co_await wait_for_the_end();
}

task<> be_writer(coproc::shared_mutex m, shared_value<int> holding)
{
    auto held = co_await m.acquire();
    holding.fetch_add(1);
    co_await wait_for_the_end();
}

task<> write_soon(coproc::shared_mutex m, shared_value<int> asleep)
{
    auto writer = co_await spawn(be_writer(m, asleep));
    asleep.fetch_add(10);
    co_await wait_for_the_end();
}

task<> get(coproc::shared_mutex m, bool writing, int& got)
{
    auto turn = writing ? m.acquire() : m.acquire_shared();
    auto held = co_await std::move(turn);
    ++got;
}

// Two numbers are the same whenever nobody writes.
task<> write_twins(coproc::shared_mutex m, shared_value<int> a, shared_value<int> b, int count)
{
    for (int i = 0; i < count; ++i) {
        auto held = co_await m.acquire();
        a.store(a.load() + 1);
        if (i % 8 == 0)
            co_await let_others_run();
        b.store(b.load() + 1);
    }
}

task<> read_twins(coproc::shared_mutex m, shared_value<int> a, shared_value<int> b, int count, shared_value<int> wrong)
{
    for (int i = 0; i < count; ++i) {
        auto held = co_await m.acquire_shared();
        int first = a.load();
        if (i % 8 == 0)
            co_await let_others_run();
        wrong.fetch_add(first == b.load() ? 0 : 1);
    }
}

} // namespace

TEST_CASE("many read a shared mutex at the same time, one writes, never both")
{
    coproc::shared_mutex m;
    auto first = m.try_acquire_shared();
    auto second = m.try_acquire_shared();
    CHECK(first);
    CHECK(second);
    CHECK_FALSE(m.try_acquire());
    first->release();
    first->release();
    CHECK_FALSE(m.try_acquire());
    second.reset();
    auto writer = m.try_acquire();
    CHECK(writer);
    CHECK_FALSE(writer->owner_died());
    CHECK_FALSE(m.try_acquire());
    CHECK_FALSE(m.try_acquire_shared());
    shared_mutex_guard moved = std::move(*writer);
    writer.reset();
    CHECK_FALSE(m.try_acquire_shared());
    moved.release();
    CHECK(m.try_acquire_shared());
}

TEST_CASE("plain functions lock a shared mutex with the standard library's guards, and can't unlock what they haven't")
{
    coproc::shared_mutex m;
    {
        std::shared_lock reading{m};
        std::shared_lock too{m, std::try_to_lock};
        CHECK(too);
        CHECK_FALSE(m.try_lock());
        CHECK_FALSE(m.try_lock_for(5ms));
        CHECK_THROWS_AS(m.unlock(), usage_error);
    }
    {
        std::unique_lock writing{m, std::chrono::steady_clock::now() + 10s};
        CHECK(writing);
        CHECK_FALSE(m.try_lock_shared());
        CHECK_FALSE(m.try_lock_shared_for(5ms));
        CHECK_THROWS_AS(m.unlock_shared(), usage_error);
    }
    CHECK(m.try_acquire());
}

TEST_CASE("a writer that waits comes before readers that come later, and one that gives up lets them in")
{
    in_loop([]() -> task<> {
        coproc::shared_mutex m;
        auto reading = m.try_acquire_shared();
        int written = 0, got = 0;
        auto writer = co_await spawn(get(m, true, written));
        auto reader = co_await spawn(get(m, false, got));
        CHECK_FALSE(reader.done());
        CHECK_FALSE(m.try_acquire_shared());
        writer.cancel();
        const bool cancelled = co_await writer.was_cancelled();
        CHECK(cancelled);
        co_await reader.join();
        CHECK(got == 1);
        auto next = co_await spawn(get(m, true, written));
        auto after = co_await spawn(get(m, false, got));
        reading.reset();
        co_await next.join();
        co_await after.join();
        CHECK(written == 1);
        CHECK(got == 2);
        auto none = co_await m.try_acquire_for(5ms);
        CHECK(none);
    });
}

TEST_CASE("a wait for a shared mutex ends with its time, and leaves no trace")
{
    in_loop([]() -> task<> {
        coproc::shared_mutex m;
        auto writing = m.try_acquire();
        auto none = co_await m.try_acquire_shared_for(5ms);
        CHECK_FALSE(none);
        auto neither = co_await m.try_acquire_for(5ms);
        CHECK_FALSE(neither);
        writing.reset();
        CHECK(m.try_acquire_shared());
        CHECK(m.try_acquire());
    });
}

TEST_CASE("the shares of readers that are killed come back, and so does the place of a writer that waited")
{
    in_loop([]() -> task<> {
        coproc::shared_mutex m;
        shared_value<int> holding, asleep;
        auto first = co_await process::start(be_reader, m, holding);
        auto second = co_await process::start(be_reader, m, holding);
        co_await reaches(holding, 2);
        auto waits = co_await process::start(write_soon, m, asleep);
        co_await reaches(asleep, 10);
        int got = 0;
        auto reader = co_await spawn(get(m, false, got));
        CHECK_FALSE(reader.done());
        co_await killed(waits);
        co_await reader.join();
        int written = 0;
        auto writer = co_await spawn(get(m, true, written));
        co_await killed(first);
        CHECK_FALSE(writer.done());
        co_await killed(second);
        co_await writer.join();
        CHECK(written == 1);
    });
}

TEST_CASE("who has a shared mutex after a writer that was killed is told, until a writer has had it")
{
    in_loop([]() -> task<> {
        coproc::shared_mutex m;
        shared_value<int> holding;
        auto p = co_await process::start(be_writer, m, holding);
        co_await reaches(holding, 1);
        CHECK_FALSE(m.try_acquire_shared());
        p.kill();
        {
            auto reading = co_await m.acquire_shared();
            CHECK(reading.owner_died());
        }
        co_await p.join();
        {
            auto reading = m.try_acquire_shared();
            REQUIRE(reading);
            CHECK(reading->owner_died());
        }
        {
            auto writing = m.try_acquire();
            REQUIRE(writing);
            CHECK(writing->owner_died());
        }
        CHECK_FALSE(m.try_acquire()->owner_died());
        CHECK_FALSE(m.try_acquire_shared()->owner_died());
    });
}

TEST_CASE("readers in several processes never see what a writer has half done")
{
    in_loop([]() -> task<> {
        coproc::shared_mutex m;
        shared_value<int> a, b, wrong;
        std::vector<process> all;
        all.push_back(co_await process::start(write_twins, m, a, b, 300));
        for (int i = 0; i < 2; ++i)
            all.push_back(co_await process::start(read_twins, m, a, b, 300, wrong));
        co_await write_twins(m, a, b, 300);
        for (auto& p : all) {
            const auto end = co_await p.join();
            CHECK(end.ok());
        }
        CHECK(a.load() == 600);
        CHECK(b.load() == 600);
        CHECK(wrong.load() == 0);
    });
}
