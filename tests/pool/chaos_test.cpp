// A pool whose workers are killed and stopped at random while it works.
#include "pool/board.hpp"
#include "pool/tasks.hpp"
#include "support/hang_guard.hpp"

#include <coproc/process.hpp>
#include <coproc/this_task.hpp>

#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <random>
#include <stdexcept>
#include <thread>

using namespace pool_test;
using namespace std::chrono_literals;

namespace {

// Words of the board: 10 counts workers, whose ids follow; 9 ends the chaos.
constexpr std::size_t ids = 100, places = 1000;

void register_worker(const std::string& path)
{
    auto n = note(path, 10) - 1;
    words_in(path)[ids + n % places] = static_cast<std::uint32_t>(::getpid());
}

bool is_child_of(pid_t parent, pid_t child)
{
    std::ifstream file{"/proc/" + std::to_string(child) + "/status"};
    for (std::string line; std::getline(file, line);)
        if (line.rfind("PPid:", 0) == 0)
            return std::atoi(line.c_str() + 5) == parent;
    return false;
}

/// Every few milliseconds a worker is killed, or stopped for a moment.
void cause_chaos(const std::string& path, pid_t parent, unsigned seed)
{
    std::mt19937 random{seed};
    auto* board = words_in(path);
    while (board[9] == 0) {
        std::this_thread::sleep_for(std::chrono::milliseconds{random() % 20});
        auto count = std::min<std::size_t>(board[10], places);
        if (count == 0)
            continue;
        auto last = std::min<std::size_t>(count, 12); // the latest ones, for the others are dead
        auto victim = static_cast<pid_t>(board[ids + (board[10] - 1 - random() % last) % places].load());
        if (!is_child_of(parent, victim))
            continue;
        if (random() % 3 == 0) {
            ::kill(victim, SIGKILL);
        } else {
            ::kill(victim, SIGSTOP);
            std::this_thread::sleep_for(std::chrono::milliseconds{random() % 30});
            ::kill(victim, SIGCONT);
        }
    }
}

int quick(int n) { return n; }
int pause(int n)
{
    std::this_thread::sleep_for(std::chrono::milliseconds{n % 5});
    return n;
}
int throws(int n) { throw std::runtime_error{"task " + std::to_string(n)}; }
int dies(int) { std::abort(); }
int hangs(int n)
{
    for (int i = 0; i < 6000 && !coproc::this_task::stop_requested(); ++i)
        std::this_thread::sleep_for(10ms);
    return n;
}
std::string large(int n) { return std::string(200'000, static_cast<char>('a' + n % 26)); }
coproc::task<int> waits(int n)
{
    asio::steady_timer timer{co_await asio::this_coro::executor, 2ms};
    co_await timer.async_wait(asio::use_awaitable);
    co_return n;
}

// How a task may end, and what it gives then.
enum class end { result, own_error, crash, timeout };

template <class T, class Expected>
coproc::task<end> end_of(coproc::async_result<T> result, Expected expected)
{
    try {
        auto end_of_task = result.get();
        auto value = co_await std::move(end_of_task);
        if (value != expected) // large ones are not to be printed
            FAIL_CHECK("a wrong result");
        co_return end::result;
    } catch (const coproc::worker_crashed&) {
        co_return end::crash;
    } catch (const coproc::timeout_error&) {
        co_return end::timeout;
    } catch (const std::runtime_error& e) {
        CHECK(std::string{e.what()}.rfind("task ", 0) == 0);
        co_return end::own_error;
    }
}

coproc::task<std::vector<end>> one_round(coproc::pool& pool, int tasks)
{
    std::vector<coproc::async_result<int>> numbers;
    std::vector<coproc::async_result<std::string>> texts;
    for (int n = 0; n < tasks; ++n)
        switch (n % 10) {
        case 0: numbers.push_back(pool.submit({.retries = 2}, quick, n)); break;
        case 1: numbers.push_back(pool.submit(pause, n)); break;
        case 2: numbers.push_back(pool.submit(throws, n)); break;
        case 3: numbers.push_back(pool.submit({.retries = 1}, waits, n)); break;
        case 4: texts.push_back(pool.submit({.retries = 1}, large, n)); break;
        case 5: numbers.push_back(pool.submit({.timeout = 5s, .retries = 3, .backoff = 1ms}, pause, n)); break;
        case 6: n % 200 == 6 ? numbers.push_back(pool.submit(dies, n)) : numbers.push_back(pool.submit(quick, n)); break;
        case 7: n % 200 == 7 ? numbers.push_back(pool.submit({.timeout = 5ms}, hangs, n)) : numbers.push_back(pool.submit(quick, n)); break;
        default: numbers.push_back(pool.submit({.priority = n % 3}, quick, n));
        }
    std::vector<end> ends;
    std::size_t number = 0, text = 0;
    for (int n = 0; n < tasks; ++n)
        if (n % 10 == 4)
            ends.push_back(co_await end_of(std::move(texts[text++]), large(n)));
        else
            ends.push_back(co_await end_of(std::move(numbers[number++]), n));
    co_return ends;
}

} // namespace

TEST_CASE("while workers are killed and stopped at random, every task ends in its result or a typed error", "[CRA-048][stress]")
{
    const char* given = std::getenv("COPROC_CHAOS_SECONDS"); // 60 by hand
    const auto length = std::chrono::seconds{given ? std::atoi(given) : 8};
    const auto seed = std::random_device{}();
    INFO("seed " << seed);
    support::time_limit limit{length + 100s};
    in_loop([&]() -> coproc::task<> {
        board board;
        std::size_t count[4]{};
        int rounds = 0;
        {
            coproc::pool pool{{.workers = 4, .concurrency = 4, .initializer = coproc::bind_front(register_worker, board.path()), .grace = 20ms}};
            auto chaos = co_await coproc::process::start(cause_chaos, board.path(), ::getpid(), seed);
            auto until = std::chrono::steady_clock::now() + length;
            do {
                for (auto e : co_await one_round(pool, 2000))
                    ++count[static_cast<int>(e)];
                ++rounds;
            } while (std::chrono::steady_clock::now() < until);
            board[9] = 1;
            CHECK((co_await chaos.join()).code() == 0);
            CHECK(co_await pool.apply(quick, 42) == 42);
            co_await pool.close();
        }
        UNSCOPED_INFO(rounds << " rounds: " << count[0] << " results, " << count[1] << " errors, " << count[2] << " crashes, " << count[3] << " timeouts");
        CHECK(count[0] + count[1] + count[2] + count[3] == static_cast<std::size_t>(2000 * rounds));
        CHECK(count[0] > 1000);
        CHECK(count[1] > 0);
        CHECK(count[2] > 0);
    });
}
