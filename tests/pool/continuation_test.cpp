// What is done with a pool at the moment when one of its calls ends, in the coroutine that it wakes; and late loops.
#include "pool/board.hpp"
#include "pool/tasks.hpp"

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>

#include <memory>
#include <stdexcept>
#include <vector>

using namespace pool_test;

namespace {

int exits(int code) { ::_exit(code); }
int throws(int) { throw std::range_error{"no"}; }
void initializer_that_throws() { throw std::underflow_error{"no start"}; }
int pool_in_worker(int n)
{
    return coproc::sync_wait([](int m) -> coproc::task<int> {
        coproc::pool inner{1};
        co_return co_await inner.apply(twice, m);
    }(n));
}

struct unsendable {
    template <class Archive>
    void save(Archive&) const
    {
        throw std::logic_error{"can't be sent"};
    }
    template <class Archive>
    void load(Archive&)
    {
    }
};
void take(const unsendable&) {}

coproc::pool_options options_for(int workers, std::size_t max_tasks = 0)
{
    coproc::pool_options result;
    result.workers = workers;
    result.max_tasks_per_worker = max_tasks;
    return result;
}

} // namespace

TEST_CASE("a crash in a task that was submitted after a crash is like any other", "[CRA-009]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        for (int i = 0; i < 10; ++i)
            CHECK(is<coproc::worker_crashed>(co_await failure_of(pool.apply(exits, i))));
        CHECK(co_await pool.apply(twice, 1) == 2);
    });
}

TEST_CASE("after a pool that has failed a new one works", "[CRA-010]")
{
    in_loop([]() -> coproc::task<> {
        auto options = options_for(2);
        options.initializer = initializer_that_throws;
        coproc::pool broken{options};
        CHECK(is<std::underflow_error>(co_await failure_of(broken.apply(twice, 1))));
        coproc::pool pool{2};
        CHECK(co_await pool.apply(twice, 1) == 2);
    });
}

TEST_CASE("an error that is on its way when its worker ends arrives", "[POOL-034]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        for (int i = 0; i < 20; ++i) {
            auto error = pool.submit(throws, 1);
            auto end = pool.submit(exits, 1);
            CHECK(is<std::range_error>(co_await failure_of(error.get()), "no"));
            CHECK(is<coproc::worker_crashed>(co_await failure_of(end.get())));
        }
    });
}

TEST_CASE("a pool can be terminated, closed and destroyed by the coroutine that one of its calls wakes", "[SHD-019]")
{
    for (int how = 0; how < 3; ++how)
        in_loop([=]() -> coproc::task<> {
            auto pool = std::make_unique<coproc::pool>(2);
            auto other = pool->submit(twice, 2);
            CHECK(co_await pool->apply(twice, 1) == 2);
            if (how == 0)
                pool->terminate();
            else if (how == 1)
                co_await pool->close();
            if (how == 2)
                pool.reset();
            else
                CHECK_THROWS_AS(pool->submit(twice, 3), coproc::usage_error);
            static_cast<void>(co_await failure_of(other.get()));
        });
}

TEST_CASE("a pool that is destroyed while workers are being replaced ends all its calls", "[EXE-013]")
{
    in_loop([]() -> coproc::task<> {
        std::vector<coproc::async_result<int>> results;
        {
            coproc::pool pool{options_for(1, 1)};
            for (int i = 0; i < 20; ++i)
                results.push_back(pool.submit(twice, i));
            CHECK(co_await results[2].get() == 4);
        }
        for (std::size_t i = 3; i < results.size(); ++i) {
            CHECK(results[i].ready());
            auto e = co_await failure_of(results[i].get());
            CHECK((!e || is<coproc::cancelled_error>(e)));
        }
    });
}

TEST_CASE("a hundred tasks that were submitted before the loop runs are done when it does", "[EXE-031]")
{
    asio::io_context context;
    coproc::pool pool{context.get_executor(), options_for(2)};
    std::vector<coproc::async_result<int>> results;
    for (int i = 0; i < 100; ++i)
        results.push_back(pool.submit(twice, i));
    context.run();
    for (auto& result : results)
        CHECK(result.ready());
    pool.terminate();
}

TEST_CASE("an argument that can't be serialized is an error after close, too, and leaves nothing", "[SHD-007]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        co_await pool.close();
        CHECK_THROWS_AS(pool.submit(take, unsendable{}), std::logic_error);
    });
}

TEST_CASE("workers that have pools inside are replaced, and the pool is closed, without a crash", "[NST-007]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{options_for(2, 1)};
        std::vector<coproc::async_result<int>> results;
        for (int i = 0; i < 6; ++i)
            results.push_back(pool.submit(pool_in_worker, i));
        co_await pool.close();
        for (int i = 0; i < 6; ++i)
            CHECK(co_await results[static_cast<std::size_t>(i)].get() == 2 * i);
    });
}
