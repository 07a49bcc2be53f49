// How many workers a pool has: on demand, idle ones that go, resize, recycle.
#include "pool/board.hpp"
#include "pool/stoppable.hpp"
#include "pool/tasks.hpp"
#include "support/eventually.hpp"
#include "support/proc.hpp"

#include <coproc/serialize.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>

#include <algorithm>
#include <numeric>
#include <set>
#include <unistd.h>

using namespace pool_test;
using namespace std::chrono_literals;

namespace {

void count_end(const std::string& path) { note(path, 1000); }
void slow_end(const std::string& path)
{
    std::signal(SIGTERM, SIG_IGN);
    note(path, 1000);
    for (;;)
        ::pause();
}
int size_of(const std::vector<char>& v) { return static_cast<int>(v.size()); }
int square(int n) { return n * n; }

/// Word `index` counts the begun; goes on when word `until` is set.
int stay(const std::string& path, std::size_t index, std::size_t until)
{
    note(path, index);
    wait_for(path, until, 1);
    return ::getpid();
}

/// Takes its time to become a message: longer than an idle worker waits.
struct slow_to_send {
    int value = 0;
    template <class Archive>
    void save(Archive& archive) const
    {
        ::usleep(1500);
        archive(value);
    }
    template <class Archive>
    void load(Archive& archive)
    {
        archive(value);
    }
};
int value_of(const slow_to_send& s) { return s.value; }

coproc::pool_options elastic(int workers, int least, std::chrono::nanoseconds idle = {})
{
    coproc::pool_options result;
    result.workers = workers;
    result.min_workers = least;
    result.idle_time = idle;
    return result;
}

} // namespace

TEST_CASE("workers beyond the minimum are started when tasks would wait, up to the maximum, and further tasks queue", "[POOL-043]")
{
    in_loop([]() -> coproc::task<> {
        board b;
        coproc::pool pool{elastic(3, 0)};
        CHECK(pool.statistics().workers == 0);
        std::vector<coproc::async_result<int>> results;
        for (std::uint32_t tasks = 1; tasks <= 4; ++tasks) {
            results.push_back(pool.submit(hold, b.path(), 7));
            auto begun = std::min(tasks, 3u);
            auto there = reached(b, 0, begun);
            co_await std::move(there);
            CHECK(pool.statistics().workers == begun);
        }
        CHECK(pool.statistics().waiting == 1);
        b[1] = 1;
        for (auto& r : results) {
            auto result = r.get();
            CHECK(co_await std::move(result) == 7);
        }
        CHECK(pool.statistics().workers == 3); // without an idle limit they stay
    });
}

TEST_CASE("a minimum of workers is there from the beginning")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{elastic(4, 2)};
        auto one = pool.apply(own_pid);
        co_await std::move(one);
        CHECK(pool.statistics().workers == 2);
    });
}

TEST_CASE("a minimum above the maximum, or below zero, is refused", "[POOL-043]")
{
    CHECK_THROWS_AS(coproc::pool{elastic(2, 3)}, coproc::usage_error);
    CHECK_THROWS_AS(coproc::pool{elastic(2, -1)}, coproc::usage_error);
    CHECK_THROWS_AS((coproc::pool{elastic(2, 1, -1ms)}), coproc::usage_error);
}

TEST_CASE("idle workers beyond the minimum end in an orderly way, and come back when they are needed", "[POOL-043]")
{
    in_loop([]() -> coproc::task<> {
        board b;
        auto options = elastic(3, 1, 5ms);
        options.finalizer = coproc::bind_front(count_end, b.path());
        coproc::pool pool{options};
        for (std::uint32_t round = 1; round <= 3; ++round) {
            std::vector<coproc::async_result<int>> results;
            for (std::size_t i = 0; i < 3; ++i)
                results.push_back(pool.submit(stay, b.path(), std::size_t{10 * round}, std::size_t{10 * round + 1}));
            auto there = reached(b, 10 * round, 3);
            co_await std::move(there);
            CHECK(pool.statistics().workers == 3);
            b[10 * round + 1] = 1;
            std::set<int> pids;
            for (auto& r : results) {
                auto result = r.get();
                pids.insert(co_await std::move(result));
            }
            CHECK(pids.size() == 3);
            auto gone = reached(b, 1000, 2 * round); // their finalizers
            co_await std::move(gone);
            auto noticed_yet = [&] { return pool.statistics().workers == 1; };
            auto noticed = comes_true(noticed_yet);
            CHECK(co_await std::move(noticed));
        }
        CHECK(pool.statistics().replaced == 0);
        auto end = pool.close();
        co_await std::move(end);
        CHECK(b[1000] == 7);
    });
}

TEST_CASE("idle workers go while nobody runs the loop, and the pool finds out when it is used again", "[POOL-046]")
{
    coproc::pool pool{elastic(2, 0, 1ms)};
    for (int round = 0; round < 5; ++round) {
        int pid = coproc::sync_wait(pool.apply(own_pid));
        CHECK(support::eventually([&] { return support::has_ended(pid); }, 30s));
        CHECK(coproc::sync_wait(pool.apply(own_pid)) != pid);
    }
    CHECK(coproc::sync_wait(pool.apply(twice, 4)) == 8);
    coproc::sync_wait(pool.close());
}

TEST_CASE("an idle limit doesn't keep io_context::run from returning")
{
    asio::io_context loop;
    coproc::pool pool{loop.get_executor(), elastic(2, 0, 1h)};
    int result = 0;
    asio::co_spawn(
        loop,
        [](coproc::pool& p, int& r) -> coproc::task<> {
            auto call = p.apply(twice, 21);
            r = co_await std::move(call);
        }(pool, result),
        [](std::exception_ptr e) { CHECK_FALSE(e); });
    loop.run();
    CHECK(result == 42);
    CHECK(pool.statistics().idle == 1);
}

TEST_CASE("with an idle limit near zero and arguments that are slow to serialize no task is lost or stuck", "[POOL-045][POOL-046]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{elastic(3, 0, 1ns)};
        std::vector<slow_to_send> inputs;
        for (int i = 0; i < 60; ++i)
            inputs.push_back({i});
        for (std::size_t chunk : {0, 1, 7}) {
            auto map = pool.map(value_of, inputs, {.chunk_size = chunk});
            auto results = co_await std::move(map);
            REQUIRE(results.size() == inputs.size());
            for (std::size_t i = 0; i < results.size(); ++i)
                CHECK(results[i] == static_cast<int>(i));
        }
        for (int i = 0; i < 100; ++i) {
            auto between = pass(std::chrono::microseconds{20 * i}); // about as long as a worker waits
            co_await std::move(between);
            auto call = pool.apply(value_of, inputs[static_cast<std::size_t>(i) % inputs.size()]);
            CHECK(co_await std::move(call) == i % 60);
        }
        auto counts = pool.statistics();
        CHECK(counts.done == 280);
        CHECK(counts.failed == 0);
        CHECK(counts.waiting == 0);
        auto end = pool.close();
        co_await std::move(end);
    });
}

TEST_CASE("close doesn't wait for workers that left", "[POOL-045]")
{
    for (int round = 0; round < 20; ++round) {
        coproc::pool pool{elastic(3, 0, 1ns)};
        auto results = coproc::sync_wait(pool.map(square, up_to(20)));
        CHECK(results[19] == 361);
        if (round % 2 == 0)
            ::usleep(static_cast<unsigned>(200 * round));
        coproc::sync_wait(pool.close());
    }
}

TEST_CASE("the finalizer of a worker that leaves is cut after the time of grace", "[TMO-004][TMO-009]")
{
    in_loop([]() -> coproc::task<> {
        board b;
        auto options = elastic(2, 0, 1ms);
        options.finalizer = coproc::bind_front(slow_end, b.path());
        options.grace = 20ms;
        coproc::pool pool{options};
        auto call = pool.apply(own_pid);
        int pid = co_await std::move(call);
        auto leaving = reached(b, 1000, 1);
        co_await std::move(leaving);
        auto again = pool.apply(own_pid); // now the pool hears of it
        CHECK(co_await std::move(again) != pid);
        auto gone_yet = [&] { return support::has_ended(pid); };
        auto gone = comes_true(gone_yet);
        CHECK(co_await std::move(gone));
        auto end = pool.close();
        co_await std::move(end);
    });
}

TEST_CASE("a pool that is resized while tasks run grows at once, and lets surplus workers end their tasks", "[POOL-047]")
{
    in_loop([]() -> coproc::task<> {
        board b;
        coproc::pool pool{1};
        std::vector<coproc::async_result<int>> first, later;
        for (int i = 0; i < 3; ++i)
            first.push_back(pool.submit(stay, b.path(), std::size_t{10}, std::size_t{11}));
        auto one = reached(b, 10, 1);
        co_await std::move(one);
        CHECK(pool.statistics().running == 1);
        pool.resize(3);
        CHECK(pool.size() == 3);
        auto three = reached(b, 10, 3);
        co_await std::move(three);
        CHECK(pool.statistics().workers == 3);
        for (int i = 0; i < 3; ++i)
            later.push_back(pool.submit(stay, b.path(), std::size_t{12}, std::size_t{11}));
        pool.resize(1);
        CHECK(pool.size() == 1);
        b[11] = 1;
        std::set<int> pids, remaining;
        for (auto& r : first) {
            auto result = r.get();
            pids.insert(co_await std::move(result));
        }
        CHECK(pids.size() == 3);
        for (auto& r : later) {
            auto result = r.get();
            remaining.insert(co_await std::move(result));
        }
        CHECK(remaining.size() == 1);
        CHECK(pids.contains(*remaining.begin())); // the healthy one was kept
        auto gone_yet = [&] { return pool.statistics().workers == 1; };
        auto gone = comes_true(gone_yet);
        CHECK(co_await std::move(gone));
        CHECK(pool.statistics().replaced == 0);
        CHECK(pool.statistics().done == 6);
    });
}

TEST_CASE("many resizes in a row, without waiting for any, lose nothing", "[POOL-048]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        auto inputs = up_to(2000);
        std::vector<coproc::async_result<int>> results;
        for (int round = 0; round < 60; ++round) {
            pool.resize(1 + round * 7 % 5);
            results.push_back(pool.submit(twice, round));
            if (round % 10 == 9) {
                auto map = pool.map(square, inputs);
                auto squares = co_await std::move(map);
                CHECK(squares.back() == 1999 * 1999);
            }
        }
        for (int round = 0; round < 60; ++round) {
            auto result = results[static_cast<std::size_t>(round)].get();
            CHECK(co_await std::move(result) == 2 * round);
        }
        auto settled_yet = [&] { return pool.statistics().workers == static_cast<std::size_t>(pool.size()); };
        auto settled = comes_true(settled_yet);
        CHECK(co_await std::move(settled));
        auto end = pool.close();
        co_await std::move(end);
    });
}

TEST_CASE("a size below one, or below the minimum, is refused and changes nothing")
{
    coproc::pool pool{elastic(3, 2)}, in_line{coproc::inline_workers};
    CHECK_THROWS_AS(pool.resize(0), coproc::usage_error);
    CHECK_THROWS_AS(pool.resize(1), coproc::usage_error);
    CHECK_THROWS_AS(in_line.resize(1), coproc::usage_error);
    CHECK(pool.size() == 3);
}

TEST_CASE("recycle replaces idle workers at once, and one that runs after its task", "[POOL-049]")
{
    in_loop([]() -> coproc::task<> {
        board b;
        coproc::pool pool{{.workers = 2, .finalizer = coproc::bind_front(count_end, b.path())}};
        auto idle_call = pool.apply({.worker = 0}, own_pid);
        int idle = co_await std::move(idle_call);
        auto running = pool.submit({.worker = 1}, stay, b.path(), std::size_t{10}, std::size_t{11});
        auto begun = reached(b, 10, 1);
        co_await std::move(begun);
        pool.recycle();
        auto gone_yet = [&] { return support::has_ended(idle); };
        auto gone = comes_true(gone_yet);
        CHECK(co_await std::move(gone));
        CHECK(b[1000] == 1);
        CHECK_FALSE(running.ready());
        auto other = pool.apply({.worker = 0}, own_pid);
        CHECK(co_await std::move(other) != idle);
        b[11] = 1;
        auto end_of_task = running.get();
        int ran = co_await std::move(end_of_task);
        auto after = pool.apply({.worker = 1}, own_pid);
        CHECK(co_await std::move(after) != ran);
        auto ended_yet = [&] { return support::has_ended(ran); };
        auto ended = comes_true(ended_yet);
        CHECK(co_await std::move(ended));
        CHECK(b[1000] == 2);
        CHECK(pool.statistics().replaced == 2);
    });
}

TEST_CASE("a call in a scope that is cancelled already starts no worker, reserves none and leaves its arguments alone", "[CAN-004]")
{
    asio::io_context loop;
    coproc::pool pool{loop.get_executor(), elastic(2, 0)};
    asio::cancellation_signal signal;
    std::exception_ptr failure;
    std::vector<char> argument(1000, 'x');
    asio::co_spawn(
        loop,
        [](coproc::pool& p, asio::cancellation_signal& s, std::vector<char>& a) -> coproc::task<> {
            s.emit(asio::cancellation_type::terminal);
            auto call = p.apply(size_of, std::move(a));
            co_await std::move(call);
        }(pool, signal, argument),
        asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr e) { failure = e; }));
    loop.run();
    CHECK(is<std::system_error>(failure));
    CHECK(argument.size() == 1000);
    auto counts = pool.statistics();
    CHECK(counts.workers == 0);
    CHECK(counts.waiting == 0);
}

TEST_CASE("close with cancel_pending lets what runs end, and cancels what has not begun", "[CAN-013]")
{
    in_loop([]() -> coproc::task<> {
        board b;
        coproc::pool pool{2};
        auto executor = co_await asio::this_coro::executor;
        std::vector<coproc::async_result<int>> results;
        for (int i = 0; i < 10; ++i)
            results.push_back(pool.submit(hold, b.path(), i));
        auto begun = reached(b, 0, 2);
        co_await std::move(begun);
        bool closed = false;
        asio::co_spawn(executor, pool.close(coproc::cancel_pending), [&](std::exception_ptr e) { closed = !e; });
        auto rest = pass(0ns);
        co_await std::move(rest);
        CHECK(std::ranges::count_if(results, [](auto& r) { return r.ready(); }) == 8);
        CHECK_FALSE(closed);
        b[1] = 1;
        int done = 0, cancelled = 0;
        for (int i = 0; i < 10; ++i) {
            auto failure = failure_of(results[static_cast<std::size_t>(i)].get());
            auto e = co_await std::move(failure);
            e ? cancelled += is<coproc::cancelled_error>(e, "closed before") : ++done;
        }
        CHECK(done == 2);
        CHECK(cancelled == 8);
        auto all = [&] { return closed; };
        auto ended = comes_true(all);
        CHECK(co_await std::move(ended));
        CHECK(b[2] == 2); // each that began went on to its end
    });
}

TEST_CASE("close with cancel_pending lets a map that has begun go on to its end", "[CAN-013]")
{
    in_loop([]() -> coproc::task<> {
        board b;
        coproc::pool pool{2};
        auto executor = co_await asio::this_coro::executor;
        std::vector<int> results;
        std::vector<std::tuple<std::string, int>> inputs;
        for (int i = 0; i < 50; ++i)
            inputs.emplace_back(b.path(), i);
        asio::co_spawn(executor, pool.starmap(hold, inputs, {.chunk_size = 3}), [&](std::exception_ptr e, std::vector<int> r) {
            CHECK_FALSE(e);
            results = std::move(r);
        });
        auto begun = reached(b, 0, 2);
        co_await std::move(begun);
        b[1] = 1;
        auto end = pool.close(coproc::cancel_pending);
        co_await std::move(end);
        auto all = [&] { return results.size() == 50; };
        auto done = comes_true(all);
        CHECK(co_await std::move(done));
        CHECK(b[0] == 50);
    });
}

TEST_CASE("an initializer that never ends costs a call its deadline, and close the time of grace", "[TMO-004]")
{
    in_loop([]() -> coproc::task<> {
        board b;
        coproc::pool pool{{.workers = 1, .initializer = coproc::bind_front(slow_end, b.path()), .grace = 20ms}};
        auto call = failure_of(pool.apply({.deadline = 50ms}, own_pid));
        CHECK(is<coproc::timeout_error>(co_await std::move(call)));
        auto there = reached(b, 1000, 1);
        co_await std::move(there);
        auto end = pool.close();
        co_await std::move(end);
        CHECK(pool.statistics().workers == 0);
    });
}
