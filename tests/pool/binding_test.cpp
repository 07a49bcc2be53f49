// Calls that only certain workers run.
#include "pool/board.hpp"
#include "pool/stoppable.hpp"
#include "pool/tasks.hpp"
#include "support/proc.hpp"

#include <algorithm>
#include <set>

using namespace pool_test;
using namespace std::chrono_literals;

namespace {

coproc::pool_options tagged(int workers)
{
    coproc::pool_options result;
    result.workers = workers;
    result.tags = {{"gpu", {0, 2}}, {"disk", {1}}};
    return result;
}

} // namespace

TEST_CASE("a call that is bound to a worker runs there, whoever else is idle")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{3};
        std::vector<int> pids;
        for (int place : {0, 1, 2}) {
            auto call = pool.apply({.worker = place}, own_pid);
            pids.push_back(co_await std::move(call));
        }
        CHECK(std::set<int>(pids.begin(), pids.end()).size() == 3);
        for (int i = 0; i < 30; ++i) {
            auto call = pool.apply({.worker = i % 3}, own_pid);
            CHECK(co_await std::move(call) == pids[static_cast<std::size_t>(i) % 3]);
        }
        auto map = pool.map(own_pid_of, up_to(500), {.worker = 1});
        auto all = co_await std::move(map);
        CHECK(std::ranges::all_of(all, [&](int pid) { return pid == pids[1]; }));
    });
}

TEST_CASE("a worker that is replaced keeps its place")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        auto zero = pool.apply({.worker = 0}, own_pid), one = pool.apply({.worker = 1}, own_pid);
        int other = co_await std::move(zero), killed = co_await std::move(one);
        support::kill_now(killed);
        auto again = pool.apply({.worker = 1}, own_pid);
        int replacement = co_await std::move(again);
        CHECK(replacement != killed);
        CHECK(replacement != other);
        auto still = pool.apply({.worker = 0}, own_pid);
        CHECK(co_await std::move(still) == other);
    });
}

TEST_CASE("what waits for its worker waits for the replacement when that dies, and holds up nobody else")
{
    in_loop([]() -> coproc::task<> {
        board b;
        coproc::pool pool{2};
        auto runs = pool.submit({.worker = 0}, deaf, b.path());
        auto begun = reached(b, 0, 1);
        co_await std::move(begun);
        auto waits = pool.submit({.priority = 5, .worker = 0}, own_pid);
        std::vector<coproc::async_result<int>> more;
        for (int i = 0; i < 20; ++i)
            more.push_back(pool.submit({.priority = 5, .worker = 0}, own_pid));
        auto map = pool.map(own_pid_of, up_to(200));
        auto elsewhere = co_await std::move(map);
        auto dead = static_cast<int>(b[9].load());
        CHECK(std::ranges::count(elsewhere, dead) == 0);
        CHECK_FALSE(waits.ready());
        support::kill_now(dead);
        auto crash = failure_of(runs.get());
        CHECK(is<coproc::worker_crashed>(co_await std::move(crash)));
        auto waited = waits.get();
        int pid = co_await std::move(waited);
        CHECK(pid != dead);
        CHECK(pid != elsewhere[0]);
        for (auto& r : more) {
            auto result = r.get();
            CHECK(co_await std::move(result) == pid);
        }
    });
}

TEST_CASE("a call with a tag runs at the workers that have it")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{tagged(3)};
        std::vector<int> pids;
        for (int place : {0, 1, 2}) {
            auto call = pool.apply({.worker = place}, own_pid);
            pids.push_back(co_await std::move(call));
        }
        auto map = pool.map(own_pid_of, up_to(300), {.chunk_size = 1, .tag = "gpu"});
        auto all = co_await std::move(map);
        CHECK(std::ranges::all_of(all, [&](int pid) { return pid == pids[0] || pid == pids[2]; }));
        auto disk = pool.apply({.tag = "disk"}, own_pid);
        CHECK(co_await std::move(disk) == pids[1]);
        auto stream = pool.imap(own_pid_of, up_to(50), {.tag = "disk"});
        for (;;) {
            auto next = stream.next();
            auto item = co_await std::move(next);
            if (!item)
                break;
            CHECK(*item == pids[1]);
        }
    });
}

TEST_CASE("both workers with a tag are used")
{
    in_loop([]() -> coproc::task<> {
        board b;
        coproc::pool pool{tagged(3)};
        auto first = pool.submit({.tag = "gpu"}, hold, b.path(), 1), second = pool.submit({.tag = "gpu"}, hold, b.path(), 2);
        auto third = pool.submit({.tag = "gpu"}, hold, b.path(), 3);
        auto begun = reached(b, 0, 2);
        co_await std::move(begun);
        CHECK(pool.statistics().waiting == 1); // the third worker does not have it
        CHECK(pool.statistics().idle <= 1);
        b[1] = 1;
        auto end = third.get();
        CHECK(co_await std::move(end) == 3);
    });
}

TEST_CASE("a worker that there isn't, an unknown tag, or both at once are refused")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{tagged(3)};
        for (int place : {-2, 3, 1000}) {
            auto call = failure_of(pool.apply({.worker = place}, own_pid));
            CHECK(is<coproc::usage_error>(co_await std::move(call), "no worker " + std::to_string(place)));
        }
        auto unknown = failure_of(pool.apply({.tag = "tape"}, own_pid));
        CHECK(is<coproc::usage_error>(co_await std::move(unknown), "tape"));
        auto both = failure_of(pool.apply({.worker = 0, .tag = "gpu"}, own_pid));
        CHECK(is<coproc::usage_error>(co_await std::move(both)));
        CHECK_THROWS_AS(pool.submit({.worker = 3}, own_pid), coproc::usage_error);
    });
    auto beyond = tagged(2), twice_named = tagged(3), nameless = tagged(3);
    twice_named.tags.push_back({"gpu", {1}});
    nameless.tags.push_back({"", {1}});
    CHECK_THROWS_AS(coproc::pool{beyond}, coproc::usage_error);
    CHECK_THROWS_AS(coproc::pool{twice_named}, coproc::usage_error);
    CHECK_THROWS_AS(coproc::pool{nameless}, coproc::usage_error);
}

TEST_CASE("a bound call starts its worker, and no other, in a pool whose workers come on demand")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{{.workers = 4, .min_workers = 0}};
        auto first = pool.apply({.worker = 3}, own_pid);
        int three = co_await std::move(first);
        CHECK(pool.statistics().workers == 1);
        auto any = pool.apply(own_pid);
        CHECK(co_await std::move(any) == three);
        auto second = pool.apply({.worker = 1}, own_pid);
        CHECK(co_await std::move(second) != three);
        CHECK(pool.statistics().workers == 2);
    });
}

TEST_CASE("a pool is not made smaller than what its calls are bound to")
{
    in_loop([]() -> coproc::task<> {
        board b;
        coproc::pool pool{tagged(3)};
        auto runs = pool.submit({.worker = 2}, hold, b.path(), 7);
        auto begun = reached(b, 0, 1);
        co_await std::move(begun);
        CHECK_THROWS_AS(pool.resize(2), coproc::usage_error);
        CHECK(pool.size() == 3);
        b[1] = 1;
        auto end = runs.get();
        CHECK(co_await std::move(end) == 7);
        pool.resize(1);
        auto disk = failure_of(pool.apply({.tag = "disk"}, own_pid));
        CHECK(is<coproc::usage_error>(co_await std::move(disk)));
        auto gpu = pool.apply({.tag = "gpu"}, twice, 4); // one of its workers is still there
        CHECK(co_await std::move(gpu) == 8);
    });
}
