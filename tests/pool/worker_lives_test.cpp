// How long a worker lives, what it may use, what it keeps; coproc::call.
#include "pool/board.hpp"
#include "pool/tasks.hpp"
#include "support/slowness.hpp"

#include <coproc/call.hpp>
#include <coproc/process.hpp>
#include <coproc/this_task.hpp>
#include <coproc/worker_state.hpp>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <sched.h>
#include <set>
#include <stdexcept>
#include <sys/resource.h>

using namespace pool_test;
using namespace std::chrono_literals;

namespace {

#ifdef COPROC_TEST_IS_SANITIZED
constexpr bool is_sanitized = true;
#else
constexpr bool is_sanitized = false;
#endif

struct model {
    std::string name;
    int uses = 0;
};
void load_model(const std::string& name) { coproc::make_state<model>(name); }
std::string use_model(int) { return coproc::state<model>().name + ' ' + std::to_string(++coproc::state<model>().uses); }

/// Takes 32 MiB for good.
int hoard(int)
{
    static std::vector<std::vector<char>> kept;
    kept.emplace_back(32 << 20, 'x');
    return ::getpid();
}
[[maybe_unused]] std::size_t allocate(std::size_t bytes) { return std::vector<char>(bytes, 1).size(); }
int burn(int)
{
    for (;;)
        if (::getpid() < 0)
            return 0;
}
rlim_t file_limit()
{
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}
std::vector<int> processors(int)
{
    cpu_set_t set;
    ::sched_getaffinity(0, sizeof set, &set);
    std::vector<int> result;
    for (int i = 0; i < CPU_SETSIZE; ++i)
        if (CPU_ISSET(static_cast<unsigned>(i), &set))
            result.push_back(i);
    return result;
}
int random_number() { return std::rand(); }
int hold_pid(const std::string& path, int) { return hold(path, ::getpid()); }
std::string decode(const std::string& data)
{
    if (data == "evil")
        std::raise(SIGSEGV);
    if (data == "bad")
        throw std::invalid_argument{"bad data"};
    return "decoded " + data;
}
int hang(const std::string& path)
{
    note(path, 0);
    for (;;)
        ::pause();
}

} // namespace

TEST_CASE("what the initializer makes is kept for all tasks of a worker, and each worker has its own")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{{.workers = 1, .initializer = coproc::bind_front(load_model, std::string{"m"})}};
        CHECK(co_await pool.apply(use_model, 0) == "m 1");
        CHECK(co_await pool.apply(use_model, 0) == "m 2");
        coproc::pool other{{.workers = 1, .initializer = coproc::bind_front(load_model, std::string{"n"})}};
        CHECK(co_await other.apply(use_model, 0) == "n 1");
    });
}

TEST_CASE("state that was not made is a usage_error of its task")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        CHECK(is<coproc::error>(co_await failure_of(pool.apply(use_model, 0)), "make_state"));
    });
}

TEST_CASE("a worker that has taken too much memory is replaced between two tasks, and no task is lost")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{{.workers = 1, .max_memory_per_worker = (is_sanitized ? 500u : 80u) << 20}};
        std::vector<int> inputs(is_sanitized ? 40 : 12);
        auto pids = co_await pool.map(hoard, inputs, {.chunk_size = 1});
        std::set<int> processes(pids.begin(), pids.end());
        CHECK(processes.size() > 1);
        CHECK(processes.size() < inputs.size());
        CHECK(co_await pool.apply(twice, 21) == 42);
        co_await pool.close();
    });
}

TEST_CASE("a worker that is old enough is replaced after its task")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{{.workers = 1, .max_age = 1ns}};
        std::set<int> pids;
        for (int i = 0; i < 5; ++i)
            pids.insert(co_await pool.apply(own_pid));
        CHECK(pids.size() == 5);
        auto all = co_await pool.map(own_pid_of, std::vector<int>(20), {.chunk_size = 1});
        CHECK(std::set<int>(all.begin(), all.end()).size() == 20);
    });
}

#ifndef COPROC_TEST_IS_SANITIZED // whose shadow memory counts too
TEST_CASE("a worker gets no more memory than its limit: std::bad_alloc, and it goes on", "[LIM-006]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{{.workers = 1, .memory_limit = 256u << 20}};
        auto pid = co_await pool.apply(own_pid);
        CHECK(is<std::bad_alloc>(co_await failure_of(pool.apply(allocate, std::size_t{4} << 30))));
        CHECK(co_await pool.apply(allocate, std::size_t{64} << 20) == std::size_t{64} << 20);
        CHECK(co_await pool.apply(own_pid) == pid);
        CHECK(co_await coproc::call(allocate, std::size_t{512} << 20) == std::size_t{512} << 20);
        CHECK(is<std::bad_alloc>(co_await failure_of(coproc::call({.memory_limit = 256u << 20}, allocate, std::size_t{512} << 20))));
    });
}
#endif

TEST_CASE("a worker that uses up its processor time is killed, which costs its task and nothing else")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{{.workers = 1, .cpu_limit = 1s}};
        auto e = co_await failure_of(pool.apply(burn, 1));
        REQUIRE(is<coproc::worker_crashed>(e));
        try {
            std::rethrow_exception(e);
        } catch (const coproc::worker_crashed& crash) {
            CHECK(crash.signal() == SIGXCPU);
        }
        CHECK(co_await pool.apply(twice, 21) == 42);
    });
}

TEST_CASE("a worker has no more descriptors than its limit")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{{.workers = 1, .open_files_limit = 99}};
        CHECK(co_await pool.apply(file_limit) == 99);
        CHECK(file_limit() != 99);
    });
}

TEST_CASE("workers that are pinned have a processor each, as far as there are enough", "[POOL-035]")
{
    in_loop([]() -> coproc::task<> {
        auto usable = processors(0);
        coproc::pool pool{{.workers = 2, .pin_workers = true}};
        board board;
        std::set<int> used;
        auto a = pool.submit(hold_pid, board.path(), 0), b = pool.submit(hold_pid, board.path(), 0);
        co_await reached(board, 0, 2); // both are at work, in a process each
        board[1] = 1;
        for (auto* result : {&a, &b}) {
            auto end = result->get();
            auto pid = co_await std::move(end);
            cpu_set_t set;
            REQUIRE(::sched_getaffinity(pid, sizeof set, &set) == 0);
            REQUIRE(CPU_COUNT(&set) == 1);
            for (int cpu : usable)
                if (CPU_ISSET(static_cast<unsigned>(cpu), &set))
                    used.insert(cpu);
        }
        CHECK(used.size() == std::min<std::size_t>(usable.size(), 2));
    });
}

TEST_CASE("std::rand gives other numbers in each worker")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{{.workers = 1, .max_tasks_per_worker = 1}};
        std::set<int> numbers;
        for (int i = 0; i < 4; ++i)
            numbers.insert(co_await pool.apply(random_number));
        CHECK(numbers.size() == 4);
    });
}

TEST_CASE("call runs a function in a process of its own, which has ended when the call is done")
{
    in_loop([]() -> coproc::task<> {
        auto text = co_await coproc::call(decode, "good");
        CHECK(text == "decoded good");
        auto first = co_await coproc::call(own_pid), second = co_await coproc::call(own_pid);
        CHECK(first != ::getpid());
        CHECK(first != second);
        CHECK(coproc::active_children().empty());
    });
}

TEST_CASE("what goes wrong in a call's process is the call's error")
{
    in_loop([]() -> coproc::task<> {
        CHECK(is<std::invalid_argument>(co_await failure_of(coproc::call(decode, "bad")), "bad data"));
        auto e = co_await failure_of(coproc::call(decode, "evil"));
        CHECK(is<coproc::worker_crashed>(e));
        CHECK(coproc::active_children().empty());
    });
}

TEST_CASE("a call that takes too long is a timeout_error, and its process is gone")
{
    in_loop([]() -> coproc::task<> {
        board board;
        CHECK(is<coproc::timeout_error>(co_await failure_of(coproc::call({.timeout = 20ms}, hang, board.path()))));
        CHECK(board[0] == 1);
        CHECK(coproc::active_children().empty());
    });
}

TEST_CASE("a call that crashes is tried again as often as was asked for")
{
    in_loop([]() -> coproc::task<> {
        CHECK(is<coproc::worker_crashed>(co_await failure_of(coproc::call({.retries = 3}, decode, "evil"))));
    });
}

TEST_CASE("a call that is not awaited stops its process when it is dropped")
{
    in_loop([]() -> coproc::task<> {
        board board;
        {
            auto dropped = coproc::call(hang, board.path());
            co_await reached(board, 0, 1);
            CHECK(coproc::active_children().size() == 1);
        }
        CHECK(coproc::active_children().empty());
    });
}
