// What a pool counts, and what its tasks cost.
#include "pool/board.hpp"
#include "pool/stoppable.hpp"
#include "pool/tasks.hpp"

#include <asio/steady_timer.hpp>

#include <algorithm>
#include <csignal>
#include <stdexcept>
#include <vector>

using namespace pool_test;
using namespace std::chrono_literals;

namespace {

void fails() { throw std::runtime_error{"no"}; }
void dies() { std::raise(SIGKILL); }
/// Uses memory, and a processor until the kernel has seen it.
std::size_t costly(std::size_t bytes)
{
    std::vector<char> memory(bytes, 'x');
    timespec now{};
    do
        ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    while (now.tv_sec == 0 && now.tv_nsec < 60'000'000);
    return static_cast<std::size_t>(std::ranges::count(memory, 'x'));
}
coproc::task<int> waits(int n)
{
    asio::steady_timer timer{co_await asio::this_coro::executor, 2ms};
    co_await timer.async_wait(asio::use_awaitable);
    co_return n;
}

} // namespace

TEST_CASE("at each step a pool's numbers match what it does", "[POOL-054][POOL-062]")
{
    in_loop([]() -> coproc::task<> {
        board b;
        coproc::pool pool{{.workers = 2, .grace = 10ms}};
        auto up_yet = [&] { return pool.statistics().idle == 2; };
        auto up = comes_true(up_yet);
        CHECK(co_await std::move(up));
        auto counts = pool.statistics();
        CHECK(counts.workers == 2);
        CHECK(counts.starting + counts.busy == 0);
        CHECK(counts.waiting + counts.running == 0);
        CHECK(counts.done + counts.failed == 0);

        std::vector<coproc::async_result<int>> results;
        results.push_back(pool.submit(hold, b.path(), 1));
        auto first = reached(b, 0, 1);
        co_await std::move(first);
        counts = pool.statistics();
        CHECK(counts.busy == 1); // its worker is out of the pool until it has ended
        CHECK(counts.idle == 1);
        CHECK(counts.running == 1);

        for (int i = 0; i < 4; ++i)
            results.push_back(pool.submit(hold, b.path(), 1));
        auto second = reached(b, 0, 2);
        co_await std::move(second);
        counts = pool.statistics();
        CHECK(counts.busy == 2);
        CHECK(counts.idle == 0);
        CHECK(counts.running == 2);
        CHECK(counts.waiting == 3);

        CHECK(results.back().cancel());
        CHECK(pool.statistics().waiting == 2);
        results.pop_back();

        b[1] = 1;
        for (auto& r : results) {
            auto result = r.get();
            co_await std::move(result);
        }
        counts = pool.statistics();
        CHECK(counts.idle == 2);
        CHECK(counts.running + counts.waiting == 0);
        CHECK(counts.done == 4);

        auto map = pool.map(twice, up_to(1000));
        co_await std::move(map);
        CHECK(pool.statistics().done == 1004);
        CHECK(pool.statistics().failed == 0);
    });
}

TEST_CASE("what fails is counted by how it failed, tries by themselves", "[POOL-054]")
{
    in_loop([]() -> coproc::task<> {
        board b;
        coproc::pool pool{{.workers = 1, .grace = 10ms}};
        auto bad = failure_of(pool.apply(fails));
        CHECK(co_await std::move(bad));
        CHECK(pool.statistics().failed == 1);
        CHECK(pool.statistics().crashed == 0);

        auto crash = failure_of(pool.apply(dies));
        CHECK(co_await std::move(crash));
        CHECK(pool.statistics().failed == 2);
        CHECK(pool.statistics().crashed == 1);
        CHECK(pool.statistics().replaced == 1);

        auto late = failure_of(pool.apply({.timeout = 20ms}, deaf, b.path()));
        CHECK(co_await std::move(late));
        CHECK(pool.statistics().failed == 3);
        CHECK(pool.statistics().timed_out == 1);
        CHECK(pool.statistics().crashed == 1);

        b[0] = 0;
        auto call = pool.apply({.retries = 4}, goes_well_at, b.path(), fault::exception, 3u);
        CHECK(co_await std::move(call) == 3);
        auto counts = pool.statistics();
        CHECK(counts.retried == 2);
        CHECK(counts.failed == 3);
        CHECK(counts.done == 1);
        CHECK(counts.replaced == 2);
    });
}

TEST_CASE("a task that is measured tells its time, memory, page faults and waits")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        constexpr std::size_t size = 64 << 20;
        auto result = pool.submit({.measure = true}, costly, size);
        auto end = result.get();
        CHECK(co_await std::move(end) == size);
        auto cost = result.statistics(); // also after get
        REQUIRE(cost);
        CHECK(cost->wall_time > 0ns);
        CHECK(cost->user_time + cost->system_time > 0ns);
        CHECK(cost->peak_growth > size / 2);
        CHECK(cost->peak_memory >= cost->peak_growth);
        CHECK(cost->page_faults + cost->disk_faults > 0);
        CHECK(pool.statistics().measured.wall_time == cost->wall_time);
        CHECK(pool.statistics().measured.page_faults == cost->page_faults);

        auto waiting = pool.submit({.measure = true}, waits, 3);
        CHECK_FALSE(waiting.statistics()); // it has not ended
        auto ready = waiting.wait_for(1h);
        CHECK(co_await std::move(ready));
        REQUIRE(waiting.statistics());
        CHECK(waiting.statistics()->waits > 0);
        CHECK(waiting.statistics()->wall_time >= 2ms);
        CHECK(pool.statistics().measured.waits >= waiting.statistics()->waits);
    });
}

TEST_CASE("only who asks is measured")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        auto result = pool.submit(twice, 1);
        auto ready = result.wait_for(1h);
        CHECK(co_await std::move(ready));
        CHECK_FALSE(result.statistics());
        CHECK(pool.statistics().measured.wall_time == 0ns);
        coproc::async_result<int> none;
        CHECK_FALSE(none.statistics());
    });
}

TEST_CASE("a task that fails is measured, one whose worker dies is not")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        auto failing = pool.submit({.measure = true}, fails);
        auto failure = failure_of(failing.get());
        CHECK(is<std::runtime_error>(co_await std::move(failure)));
        CHECK(failing.statistics());
        auto dying = pool.submit({.measure = true}, dies);
        auto death = failure_of(dying.get());
        CHECK(is<coproc::worker_crashed>(co_await std::move(death)));
        CHECK_FALSE(dying.statistics());
    });
}

TEST_CASE("each element of a map that is measured travels alone, and counts in the pool's sum")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        auto map = pool.map(twice, up_to(300), {.chunk_size = 100, .measure = true});
        auto results = co_await std::move(map);
        CHECK(results[299] == 598);
        auto counts = pool.statistics();
        CHECK(counts.done == 300);
        CHECK(counts.measured.wall_time > 0ns);
        CHECK(counts.measured.peak_memory > 0);
    });
}
