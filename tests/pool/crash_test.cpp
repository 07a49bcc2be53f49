// Workers that die: at each step of a task, at random, while idle, before they come to a task.
#include "pool/board.hpp"
#include "pool/tasks.hpp"
#include "support/proc.hpp"

#include <coproc/process.hpp>

#include <asio/experimental/awaitable_operators.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <csignal>
#include <cstdlib>
#include <numeric>
#include <random>
#include <set>
#include <stdexcept>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace pool_test;
using namespace std::chrono_literals;

namespace {

enum class end_by { segmentation_fault, quick_exit, libc_exit, exception };
enum class step { save_argument, load_argument, run, save_result, load_result, destroy_argument };

void end_here(end_by how)
{
    switch (how) {
    case end_by::segmentation_fault:
        std::signal(SIGSEGV, SIG_DFL); // a sanitizer would make an exit of it
        std::raise(SIGSEGV);
        return;
    case end_by::quick_exit: ::_exit(41);
    case end_by::libc_exit: std::exit(42);
    case end_by::exception: throw std::range_error{"the fault"};
    }
}

int test_process = 0; // in the test process only

/// Ends its process, or throws, at one step of its journey.
struct bomb {
    int at = -1, how = 0;
    bool is_result = false;
    bool loaded = false;

    bomb() = default;
    bomb(step s, end_by h, bool result = false) : at{static_cast<int>(s)}, how{static_cast<int>(h)}, is_result{result} {}
    bomb(const bomb&) = default;
    bomb(bomb&& other) noexcept : at{other.at}, how{other.how}, is_result{other.is_result}, loaded{other.loaded} { other.loaded = false; }
    bomb& operator=(const bomb&) = default;
    ~bomb()
    {
        if (loaded && !is_result)
            reached(step::destroy_argument);
    }

    void reached(step s) const
    {
        if (at == static_cast<int>(s))
            end_here(static_cast<end_by>(how));
    }
    template <class Archive>
    void save(Archive& archive) const
    {
        reached(is_result ? step::save_result : step::save_argument);
        archive(at, how, is_result);
    }
    template <class Archive>
    void load(Archive& archive)
    {
        archive(at, how, is_result);
        reached(is_result ? step::load_result : step::load_argument);
        loaded = ::getpid() != test_process;
    }
};

bomb carry(const bomb& b)
{
    b.reached(step::run);
    bomb result{b};
    result.is_result = true;
    return result;
}

void die_by(int signal)
{
    std::signal(signal, SIG_DFL);
    ::kill(::getpid(), signal);
}
int exits_with(int code) { std::exit(code); }
int die_on(int bad, int n)
{
    if (n == bad)
        ::_exit(9);
    return n;
}
std::size_t swallow(std::vector<char>) { ::_exit(3); }
void nothing() {}

void close_all_descriptors()
{
    for (int number = 3; number < 1024; ++number)
        ::close(number);
}
int change_directory() { return ::chdir("/"); }
void block_signals()
{
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
    for (int signal : {SIGTERM, SIGINT})
        std::signal(signal, SIG_IGN);
}
void start_threads()
{
    for (int i = 0; i < 5; ++i)
        std::thread{[] {
            for (;;)
                ::pause();
        }}.detach();
}
int fork_and_exit()
{
    pid_t child = ::fork();
    if (child == 0)
        ::_exit(7);
    int status = 0;
    ::waitpid(child, &status, 0);
    return WEXITSTATUS(status);
}
void close_standard_streams()
{
    for (int number = 0; number < 3; ++number)
        ::close(number);
}

/// Kills a worker of the board, whoever it is, some time after all are there. Words 10.. are their pids.
void kill_a_friend(const std::string& path, std::uint32_t all, unsigned seed)
{
    words_in(path)[10 + note(path, 0) - 1] = static_cast<std::uint32_t>(::getpid());
    wait_for(path, 0, all);
    std::mt19937 random{seed};
    ::usleep(static_cast<unsigned>(random() % 1200));
    auto pid = words_in(path)[10 + random() % all].load();
    if (pid != 0)
        ::kill(static_cast<pid_t>(pid), SIGKILL);
    ::usleep(1000);
}

int counted_run(const std::string& path, int n)
{
    note(path, static_cast<std::size_t>(n));
    ::usleep(20);
    return n;
}

/// No descriptor can be received in this process any more.
[[maybe_unused]] void use_no_more_descriptors()
{
    int next = ::dup(0);
    ::close(next);
    rlimit limit{static_cast<rlim_t>(next), static_cast<rlim_t>(next)};
    ::setrlimit(RLIMIT_NOFILE, &limit);
}
[[maybe_unused]] int size_of(const std::vector<char>& v) { return static_cast<int>(v.size()); }

void initializer_that_throws() { throw std::underflow_error{"no start today"}; }
void initializer_that_crashes() { die_by(SIGSEGV); }
void initializer_that_exits() { std::exit(0); }

std::vector<int> workers_of_this_process()
{
    std::vector<int> result;
    for (auto& child : coproc::active_children())
        if (child.name.starts_with("worker"))
            result.push_back(child.pid);
    return result;
}

/// The report of the crash, if that is what it is.
const coproc::worker_crashed* as_crash(const std::exception_ptr& e)
{
    if (!e)
        return nullptr;
    try {
        std::rethrow_exception(e);
    } catch (const coproc::worker_crashed& crash) {
        return &crash; // `e` keeps it
    } catch (...) {
        return nullptr;
    }
}

coproc::pool_options with_initializer(coproc::remote_call call, int workers = 2)
{
    coproc::pool_options options;
    options.workers = workers;
    options.initializer = std::move(call);
    return options;
}

} // namespace

TEST_CASE("a worker that ends at any step of a task costs that task, with an error that says how", "[CRA-001][CRA-002]")
{
    auto at = GENERATE(step::load_argument, step::run, step::save_result, step::destroy_argument);
    auto how = GENERATE(end_by::segmentation_fault, end_by::quick_exit, end_by::libc_exit);
    in_loop([=]() -> coproc::task<> {
        test_process = ::getpid();
        coproc::pool pool{1};
        auto before = co_await pool.apply(own_pid);
        bomb b{at, how};
        auto e = co_await failure_of(pool.apply(carry, b));
        auto* crash = as_crash(e);
        REQUIRE(crash);
        CHECK(crash->pid() == before);
        if (how == end_by::segmentation_fault) {
            CHECK(crash->signal() == SIGSEGV);
            CHECK(crash->exit_code() == -1);
        } else {
            CHECK(crash->signal() == 0);
            CHECK(crash->exit_code() == (how == end_by::quick_exit ? 41 : 42));
        }
        CHECK(co_await pool.apply(own_pid) != before);
    });
}

TEST_CASE("an exception at any step of a task is that task's error, and the worker lives", "[CRA-003][BAD-005]")
{
    auto at = GENERATE(step::load_argument, step::run, step::save_result);
    in_loop([=]() -> coproc::task<> {
        test_process = ::getpid();
        coproc::pool pool{1};
        auto before = co_await pool.apply(own_pid);
        bomb b{at, end_by::exception};
        CHECK(is<std::range_error>(co_await failure_of(pool.apply(carry, b)), "the fault"));
        CHECK(co_await pool.apply(own_pid) == before);
    });
}

TEST_CASE("an exception while an argument is saved is thrown by the call itself")
{
    in_loop([]() -> coproc::task<> {
        test_process = ::getpid();
        coproc::pool pool{1};
        bomb b{step::save_argument, end_by::exception};
        CHECK_THROWS_AS(pool.submit(carry, b), std::range_error);
        CHECK_THROWS_AS(pool.apply(carry, b), std::range_error);
        std::vector<bomb> all{b};
        CHECK(is<std::range_error>(co_await failure_of(pool.map(carry, all)), "the fault"));
        CHECK(co_await pool.apply(twice, 1) == 2);
    });
}

TEST_CASE("an exception while a result is loaded fails the call, and both sides live", "[CRA-005]")
{
    in_loop([]() -> coproc::task<> {
        test_process = ::getpid();
        coproc::pool pool{1};
        auto before = co_await pool.apply(own_pid);
        for (int i = 0; i < 20; ++i) {
            bomb b{step::load_result, end_by::exception};
            CHECK(is<std::range_error>(co_await failure_of(pool.apply(carry, b)), "the fault"));
        }
        CHECK(co_await pool.apply(own_pid) == before);
    });
}

TEST_CASE("a result that was sent counts, and the next task finds the crash")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{1};
        auto first = pool.submit(twice, 1);
        auto second = pool.submit(exits_with, 5);
        auto third = pool.submit(twice, 3);
        CHECK(co_await first.get() == 2);
        CHECK(as_crash(co_await failure_of(second.get())));
        CHECK(co_await third.get() == 6);
    });
}

TEST_CASE("a task that calls exit fails with the code, and its worker is replaced", "[CRA-029][CRA-016][EXE-018]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        for (int code : {0, 1, 99, 255}) {
            auto before = co_await pool.apply(own_pid);
            auto e = co_await failure_of(pool.apply(exits_with, code));
            auto* crash = as_crash(e);
            REQUIRE(crash);
            CHECK(crash->exit_code() == code);
            CHECK(crash->pid() == before);
            CHECK(std::string{crash->what()}.find(std::to_string(code)) != std::string::npos);
            CHECK(co_await pool.apply(own_pid) != before);
        }
    });
}

TEST_CASE("a worker killed by any signal is named with it", "[CRA-001]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        for (int signal : {SIGKILL, SIGTERM, SIGABRT, SIGBUS, SIGFPE, SIGILL}) {
            auto e = co_await failure_of(pool.apply(die_by, signal));
            auto* crash = as_crash(e);
            REQUIRE(crash);
            CHECK(crash->signal() == signal);
        }
    });
}

TEST_CASE("a worker that dies in the middle of a map ends the map with the index it died at", "[CRA-013]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        std::vector<int> inputs(1000);
        std::iota(inputs.begin(), inputs.end(), 0);
        for (std::size_t chunk : {0u, 1u, 10u, 1000u}) {
            auto e = co_await failure_of(pool.map(coproc::bind_front(die_on, 77), inputs, {.chunk_size = chunk}));
            auto* crash = as_crash(e);
            REQUIRE(crash);
            CHECK(crash->index() == 77);
            CHECK(crash->exit_code() == 9);
        }
        CHECK(co_await pool.apply(twice, 1) == 2);
    });
}

TEST_CASE("a worker that dies with a large argument in flight is a clean error", "[CRA-006]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        for (int i = 0; i < 5; ++i) {
            auto one = pool.submit(swallow, std::vector<char>(20'000'000, 'x'));
            auto other = pool.submit(swallow, std::vector<char>(20'000'000, 'x'));
            CHECK(as_crash(co_await failure_of(one.get())));
            CHECK(as_crash(co_await failure_of(other.get())));
        }
    });
}

TEST_CASE("one of a hundred tasks kills its worker: exactly that one fails", "[CRA-012]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        std::vector<coproc::async_result<int>> results;
        for (int i = 0; i < 100; ++i)
            results.push_back(pool.submit(die_on, 42, i));
        for (int i = 0; i < 100; ++i) {
            auto e = co_await failure_of(results[static_cast<std::size_t>(i)].get());
            CHECK((e != nullptr) == (i == 42));
        }
    });
}

TEST_CASE("a worker killed while idle costs nothing", "[POOL-056]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        for (int i = 0; i < 10; ++i) {
            auto pid = co_await pool.apply(own_pid);
            ::kill(pid, SIGKILL);
            CHECK(co_await pool.apply(own_pid) != pid);
        }
        co_await pool.close();
        CHECK_THROWS_AS(pool.submit(nothing), coproc::usage_error); // and not the tale of the dead worker
    });
}

TEST_CASE("workers that kill each other at random times cost tasks and nothing else", "[CRA-008]")
{
    auto workers = GENERATE(1u, 2u, 5u, 13u);
    in_loop([=]() -> coproc::task<> {
        unsigned seed = std::random_device{}();
        INFO("seed " << seed);
        board board;
        coproc::pool pool{static_cast<int>(workers)};
        std::vector<coproc::async_result<void>> results;
        for (unsigned i = 0; i < workers; ++i)
            results.push_back(pool.submit(kill_a_friend, board.path(), workers, seed + i));
        int crashes = 0;
        for (auto& result : results) {
            auto e = co_await failure_of(result.get());
            CHECK((!e || as_crash(e)));
            crashes += e != nullptr;
        }
        CHECK(crashes >= 1);
        CHECK(co_await pool.apply(twice, 1) == 2);
    });
}

TEST_CASE("2,000 tasks while workers are killed at random: each ends, runs at most once, and fails only as a crash", "[CRA-025]")
{
    in_loop([]() -> coproc::task<> {
        constexpr int count = 2000;
        unsigned seed = std::random_device{}();
        INFO("seed " << seed);
        board board;
        coproc::pool pool{3};
        std::vector<coproc::async_result<int>> results;
        for (int i = 0; i < count; ++i)
            results.push_back(pool.submit(counted_run, board.path(), i));
        std::atomic<bool> done{false};
        int kills = 0;
        std::thread killer{[&] {
            std::mt19937 random{seed};
            while (!done) {
                auto pids = workers_of_this_process();
                if (!pids.empty()) {
                    ::kill(pids[random() % pids.size()], SIGKILL);
                    ++kills;
                }
                std::this_thread::sleep_for(std::chrono::microseconds{random() % 5000});
            }
        }};
        int failed = 0, wrong = 0;
        for (int i = 0; i < count; ++i) {
            auto index = static_cast<std::size_t>(i);
            auto e = co_await failure_of([](coproc::async_result<int> r, int expected) -> coproc::task<> {
                auto value = co_await r.get();
                if (value != expected)
                    throw std::logic_error{"a wrong result"};
            }(std::move(results[index]), i));
            auto runs = board[index].load();
            wrong += e && !as_crash(e);
            wrong += runs > 1;
            wrong += !e && runs != 1;
            failed += e != nullptr;
        }
        done = true;
        killer.join();
        CHECK(wrong == 0);
        CHECK(failed <= kills);
    });
}

TEST_CASE("tasks that were in the pipe of a killed worker run elsewhere", "[CRA-012]")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{1};
        auto running = pool.submit(hold, board.path(), 1);
        std::vector<coproc::async_result<std::uint32_t>> waiting;
        for (int i = 0; i < 20; ++i)
            waiting.push_back(pool.submit(note, board.path(), 5));
        co_await reached(board, 0, 1);
        ::kill(workers_of_this_process().at(0), SIGKILL);
        CHECK(as_crash(co_await failure_of(running.get())));
        for (auto& result : waiting)
            CHECK(co_await result.get() >= 1);
        CHECK(board[5] == 20);
    });
}

TEST_CASE("an initializer that throws fails the pool with its error, for every call", "[CRA-031][EXE-017]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{with_initializer(initializer_that_throws)};
        auto one = pool.submit(twice, 1), other = pool.submit(twice, 2);
        auto first = co_await failure_of(one.get()), second = co_await failure_of(other.get());
        CHECK(is<std::underflow_error>(first, "no start today"));
        CHECK(is<std::underflow_error>(second, "no start today"));
        CHECK(first != second); // objects of their own
        CHECK(is<std::underflow_error>(co_await failure_of(pool.apply(twice, 3)), "no start today"));
        co_await pool.close();
    });
}

TEST_CASE("an initializer that ends its process fails the pool after a few attempts", "[CRA-031][CRA-038]")
{
    auto crashes = GENERATE(true, false);
    in_loop([=]() -> coproc::task<> {
        coproc::pool pool{with_initializer(crashes ? coproc::remote_call{initializer_that_crashes} : coproc::remote_call{initializer_that_exits})};
        auto e = co_await failure_of(pool.apply(twice, 1));
        CHECK(is<coproc::error>(e, crashes ? "killed by signal 11" : "exited with code 0"));
        CHECK(is<coproc::error>(co_await failure_of(pool.map(twice, std::vector<int>(100)))));
        co_await pool.close();
        CHECK(workers_of_this_process().empty());
    });
}

TEST_CASE("a pool that keeps failing to start can be terminated", "[CRA-043]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{with_initializer(initializer_that_crashes, 4)};
        auto result = pool.submit(twice, 1);
        pool.terminate();
        CHECK(co_await failure_of(result.get()) != nullptr);
        CHECK(workers_of_this_process().empty());
    });
}

TEST_CASE("a task that closes all descriptors costs at most its worker")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        auto before = co_await pool.apply(own_pid);
        auto e = co_await failure_of(pool.apply(close_all_descriptors));
        CHECK((!e || as_crash(e)));
        CHECK(co_await pool.apply(own_pid) != before);
    });
}

TEST_CASE("tasks may change the directory, fork, start threads, block signals and close the standard streams")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        auto before = co_await pool.apply(own_pid);
        CHECK(co_await pool.apply(change_directory) == 0);
        CHECK(co_await pool.apply(fork_and_exit) == 7);
        co_await pool.apply(start_threads);
        co_await pool.apply(block_signals);
        co_await pool.apply(close_standard_streams);
        CHECK(co_await pool.apply(own_pid) == before);
        co_await pool.close();
        CHECK(support::has_ended(before));
    });
}

TEST_CASE("a task whose message a worker can't take costs that task, and not the pool", "[CRA-012]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{with_initializer(use_no_more_descriptors)};
        std::vector<char> large(1'000'000);
        for (int i = 0; i < 5; ++i) {
            CHECK(as_crash(co_await failure_of(pool.apply(size_of, large))));
            CHECK(co_await pool.apply(size_of, std::vector<char>(10)) == 10);
        }
    });
}
