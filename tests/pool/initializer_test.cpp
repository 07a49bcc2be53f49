// What initializers and finalizers carry: handles, of which each worker gets its own.
#include "pool/board.hpp"
#include "pool/tasks.hpp"

#include <coproc/mutex.hpp>
#include <coproc/pipe.hpp>
#include <coproc/queue.hpp>
#include <coproc/shared_array.hpp>
#include <coproc/start_method.hpp>
#include <coproc/worker_state.hpp>

#include <csignal>
#include <filesystem>
#include <iterator>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

using namespace pool_test;

namespace {

/// What all workers of a pool share.
struct tools {
    coproc::mutex mutex;
    coproc::shared_array<int> counts;
};

void take_tools(const coproc::mutex& mutex, const coproc::queue<int>& who, const coproc::shared_array<int>& counts)
{
    auto& mine = coproc::make_state<tools>(mutex, counts);
    std::scoped_lock held{mine.mutex};
    ++mine.counts[0];
    who.try_put(::getpid());
}
int count_up(int)
{
    auto& mine = coproc::state<tools>();
    std::scoped_lock held{mine.mutex};
    return ++mine.counts[1];
}
void die() { ::raise(SIGKILL); }

void say_pid(const coproc::queue<int>& who) { who.try_put(::getpid()); }
void drop_all(const std::vector<coproc::shared_array<int>>&) {}
void drop(const coproc::shared_array<int>&) {}
struct end_taker {
    coproc::connection end;
    void operator()() const {}
    template <class Archive>
    void serialize(Archive& archive)
    {
        archive(end);
    }
};
std::ptrdiff_t open_files() { return std::distance(std::filesystem::directory_iterator{"/proc/self/fd"}, {}); }

coproc::pool_options with(coproc::remote_call initializer, coproc::remote_call finalizer = {})
{
    coproc::pool_options options;
    options.workers = 2;
    options.initializer = std::move(initializer);
    options.finalizer = std::move(finalizer);
    return options;
}

} // namespace

TEST_CASE("an initializer's handles reach each worker, also one that replaces another, however it is started", "[POOL-025]")
{
    auto method = GENERATE(coproc::start_method::forkserver, coproc::start_method::spawn, coproc::start_method::fork);
    in_loop([=]() -> coproc::task<> {
        coproc::shared_array<int> counts(2);
        coproc::queue<int> who;
        auto options = with(coproc::bind_front(take_tools, coproc::mutex{}, who, counts));
        options.method = method;
        coproc::pool pool{options};
        static_cast<void>(co_await pool.map(count_up, std::vector<int>(100)));
        std::set<int> pids;
        for (int i = 0; i < 2; ++i)
            pids.insert((co_await who.get()).value());
        CHECK(is<coproc::worker_crashed>(co_await failure_of(pool.apply(die))));
        pids.insert((co_await who.get()).value());
        CHECK(pids.size() == 3);
        static_cast<void>(co_await pool.map(count_up, std::vector<int>(100)));
        co_await pool.close();
        CHECK(counts[0] == 3);
        CHECK(counts[1] == 200);
    });
}

TEST_CASE("a finalizer's handles reach each worker", "[POOL-027]")
{
    in_loop([]() -> coproc::task<> {
        coproc::queue<int> begun, ended;
        coproc::pool pool{with(coproc::bind_front(say_pid, begun), coproc::bind_front(say_pid, ended))};
        CHECK(co_await pool.apply(twice, 21) == 42);
        co_await pool.close();
        std::set<int> first, last;
        while (auto pid = begun.try_get())
            first.insert(*pid);
        while (auto pid = ended.try_get())
            last.insert(*pid);
        CHECK(first.size() == 2);
        CHECK(last == first);
    });
}

TEST_CASE("a handle lives as long as an initializer that has it, and a worker keeps nothing that its initializer drops")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool plain{with({})};
        auto usual = co_await plain.apply(open_files);
        auto initializer = coproc::remote_call{coproc::bind_front(drop, coproc::shared_array<int>(1))};
        coproc::pool pool{with(std::move(initializer))};
        CHECK(co_await pool.apply(open_files) == usual);
        std::vector<coproc::shared_array<int>> many;
        for (int i = 0; i < 100; ++i)
            many.emplace_back(1);
        coproc::pool largest{with(coproc::bind_front(drop_all, many), coproc::bind_front(drop_all, many))};
        CHECK(co_await largest.apply(open_files) == usual + 100); // the finalizer's
        co_await largest.close();
    });
}

TEST_CASE("an initializer that carries more descriptors than a worker is started with is refused")
{
    std::vector<coproc::shared_array<int>> many;
    for (int i = 0; i < 101; ++i)
        many.emplace_back(1);
    CHECK_THROWS_AS(coproc::remote_call{coproc::bind_front(drop_all, many)}, coproc::usage_error);
}

TEST_CASE("an end of a connection can't be given to all workers, and is closed")
{
    in_loop([]() -> coproc::task<> {
        auto [here, there] = coproc::pipe();
        CHECK_THROWS_AS(coproc::remote_call{end_taker{std::move(there)}}, coproc::usage_error);
        CHECK(here.closed());
        co_return;
    });
}
