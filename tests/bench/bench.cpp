// What starting, calling, mapping, payloads, a crash, a stream, coroutines and a large state cost, with two workers; and what
// processes share (sharing.cpp).
//   bench [W1 W2 W3 W4 W5 W6 W7 W8 W10 W11 W12 state]     all of them without names
// Each figure is one JSON line. They are meant to be compared, as ratios, with others of the same run on the same machine.
#include "figure.hpp"
#include "workloads.hpp"

#include <coproc/coproc.hpp>

#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <numeric>
#include <ranges>
#include <set>
#include <string>
#include <unistd.h>

using namespace bench;
using number = std::int64_t;

namespace {

constexpr int workers = 2;
constexpr std::size_t mebibyte = 1 << 20;

number add_one(number n) { return n + 1; }
number square(number n) { return n * n; }
std::vector<char> same(std::vector<char> bytes) { return bytes; }

bool is_prime(number n)
{
    if (n % 2 == 0)
        return n == 2;
    for (number i = 3; i * i <= n; i += 2)
        if (n % i == 0)
            return false;
    return true;
}

double heavy(number n)
{
    double sum = 0;
    for (number i = 0; i < n; ++i)
        sum += std::sqrt(static_cast<double>(i));
    return sum;
}

[[noreturn]] void wrong(const char* what)
{
    std::fprintf(stderr, "bench: wrong result of %s\n", what);
    std::exit(1);
}

coproc::task<> w1()
{
    double best = 1e9;
    for (int i = 0; i < 20; ++i) {
        auto begin = clock::now();
        {
            coproc::pool pool{workers};
            co_await pool.apply(add_one, 1);
            co_await pool.close();
        }
        best = std::min(best, seconds_since(begin));
    }
    figure("W1.pool_start", best, "s");
}

coproc::task<> w2()
{
    coproc::pool pool{workers};
    for (number i = 0; i < 200; ++i)
        co_await pool.apply(add_one, i);
    std::vector<double> each(10'000);
    auto begin = clock::now();
    for (std::size_t i = 0; i < each.size(); ++i) {
        auto one = clock::now();
        if (co_await pool.apply(add_one, static_cast<number>(i)) != static_cast<number>(i) + 1)
            wrong("apply");
        each[i] = seconds_since(one) * 1e6;
    }
    double all = seconds_since(begin);
    figure("W2.apply.rate", static_cast<double>(each.size()) / all, "tasks/s");
    figure("W2.apply.p50", percentile(each, 0.5), "us");
    figure("W2.apply.p99", percentile(each, 0.99), "us");
}

coproc::task<> w3()
{
    coproc::pool pool{workers};
    std::vector<number> inputs(100'000);
    std::iota(inputs.begin(), inputs.end(), 0);
    for (auto [name, chunk] : {std::pair{"W3.map_tiny.default", std::size_t{0}}, {"W3.map_tiny.chunk1", std::size_t{1}}}) {
        double best = 1e9;
        for (int i = 0; i < 5; ++i) {
            auto begin = clock::now();
            auto squares = co_await pool.map(square, inputs, {.chunk_size = chunk});
            best = std::min(best, seconds_since(begin));
            if (squares.back() != 99'999L * 99'999L)
                wrong("map");
        }
        figure(name, static_cast<double>(inputs.size()) / best, "tasks/s");
    }
}

// Eight tasks of `n` steps, and their speed-up over one process.
coproc::task<> heavy_tasks(coproc::pool& pool, const std::string& name, number n)
{
    std::vector<number> steps(8, n);
    auto begin = clock::now();
    std::vector<double> expected;
    for (auto s : steps)
        expected.push_back(heavy(s));
    double alone = seconds_since(begin);
    begin = clock::now();
    auto sums = co_await pool.map(heavy, steps, {.chunk_size = 1});
    double together = seconds_since(begin);
    if (sums != expected)
        wrong("heavy");
    figure(name + ".wall", together, "s");
    figure(name + ".speedup", alone / together, "x");
}

coproc::task<> w4()
{
    coproc::pool pool{workers};
    co_await pool.apply(add_one, 1);
    co_await heavy_tasks(pool, "W4.cpu.heavy8", 2'000'000);
    auto begin = clock::now();
    volatile double kept = heavy(2'000'000); // or the compiler leaves it out
    static_cast<void>(kept);
    auto long_steps = static_cast<number>(2'000'000 * 0.1 / seconds_since(begin)); // 100 ms
    co_await heavy_tasks(pool, "W4.cpu.heavy8_100ms", long_steps);

    std::vector<number> candidates(2000);
    std::iota(candidates.begin(), candidates.end(), 10'000'000);
    begin = clock::now();
    auto expected = std::count_if(candidates.begin(), candidates.end(), is_prime);
    double alone = seconds_since(begin);
    begin = clock::now();
    auto primes = co_await pool.map(is_prime, candidates);
    double together = seconds_since(begin);
    if (std::count(primes.begin(), primes.end(), true) != expected)
        wrong("primes");
    figure("W4.cpu.primes2000.wall", together, "s");
    figure("W4.cpu.primes2000.speedup", alone / together, "x");
}

coproc::task<> w5()
{
    coproc::pool pool{workers};
    constexpr double both_ways = 128.0 * mebibyte / 1e9;
    std::vector<char> one(64 * mebibyte, 1);
    std::vector<std::vector<char>> many(64, std::vector<char>(mebibyte, 1));
    double best = 1e9;
    std::vector<char> result;
    for (int i = 0; i < 4; ++i) {
        auto begin = clock::now();
        result = co_await pool.apply(same, one);
        best = std::min(best, seconds_since(begin));
        if (result != one)
            wrong("a payload of 64 MiB");
    }
    figure("W5.payload.64MiB_x1", both_ways / best, "GB/s", "each result is a new vector");
    figure("W5.payload.64MiB_x1.fresh_result_vector", both_ways / best, "GB/s");
    best = 1e9;
    for (int i = 0; i < 4; ++i) {
        auto begin = clock::now();
        for (auto& bytes : many)
            if ((co_await pool.apply(same, bytes)).size() != mebibyte)
                wrong("a payload of 1 MiB");
        best = std::min(best, seconds_since(begin));
    }
    figure("W5.payload.1MiB_x64.one_at_a_time", both_ways / best, "GB/s");
    best = 1e9;
    for (int i = 0; i < 4; ++i) {
        auto begin = clock::now();
        auto results = co_await pool.map(same, many, {.chunk_size = 1});
        best = std::min(best, seconds_since(begin));
        if (results != many)
            wrong("payloads of 1 MiB");
    }
    figure("W5.payload.1MiB_x64", both_ways / best, "GB/s");
}

// Item 20 kills its worker, the first time only; each other item takes 5 ms.
number die_once(number item, const std::string& flag)
{
    if (item == 20 && !std::filesystem::exists(flag)) {
        std::ofstream{flag};
        std::raise(SIGKILL);
    }
    ::usleep(5000);
    return item;
}

// The 60 items as 60 calls, so that the one that dies is known and is called again.
coproc::task<std::set<number>> items_done(coproc::pool& pool, std::set<number> wanted, std::string flag)
{
    std::vector<std::pair<number, coproc::async_result<number>>> submitted;
    for (auto item : wanted)
        submitted.emplace_back(item, pool.submit(die_once, item, flag));
    std::set<number> done;
    for (auto& [item, result] : submitted)
        try {
            done.insert(co_await result.get());
        } catch (const coproc::worker_crashed&) {
        }
    co_return done;
}

coproc::task<> w10()
{
    auto flag = (std::filesystem::temp_directory_path() / ("coproc-bench-" + std::to_string(coproc::this_process::pid()))).string();
    std::set<number> all;
    for (number i = 0; i < 60; ++i)
        all.insert(i);
    double times[2];
    for (bool crash : {false, true}) {
        crash ? static_cast<void>(std::filesystem::remove(flag)) : static_cast<void>(std::ofstream{flag});
        coproc::pool pool{workers};
        co_await pool.apply(add_one, 1);
        auto begin = clock::now();
        std::set<number> done;
        while (done.size() < all.size()) {
            std::set<number> missing;
            std::set_difference(all.begin(), all.end(), done.begin(), done.end(), std::inserter(missing, missing.end()));
            auto turn = items_done(pool, missing, flag);
            done.merge(co_await std::move(turn));
        }
        times[crash] = seconds_since(begin);
    }
    std::filesystem::remove(flag);
    figure("W10.undisturbed", times[0], "s");
    figure("W10.crash", times[1], "s", "recovered (no-crash floor is 0.15 s)");
}

coproc::task<number> nap(number n)
{
    asio::steady_timer timer{co_await asio::this_coro::executor, std::chrono::milliseconds{10}};
    co_await timer.async_wait(asio::use_awaitable);
    co_return n;
}

// What this process has in RAM that is its own.
double own_megabytes()
{
    std::ifstream file{"/proc/self/statm"};
    double size = 0, resident = 0, shared = 0;
    file >> size >> resident >> shared;
    return (resident - shared) * static_cast<double>(::sysconf(_SC_PAGESIZE)) / 1e6;
}

// Five million items, and a consumer that takes one of them every two milliseconds.
coproc::task<> w11()
{
    coproc::pool pool{workers};
    co_await pool.apply(add_one, 1);
    number drawn = 0, got = 0;
    auto inputs = std::views::iota(number{0}, number{5'000'000}) | std::views::transform([&](number n) { return ++drawn, n; });
    double before = own_megabytes(), most = before;
    {
        auto results = pool.imap(square, inputs);
        asio::steady_timer pause{co_await asio::this_coro::executor};
        for (auto begin = clock::now(); seconds_since(begin) < 2;) {
            auto next = results.next();
            auto result = co_await std::move(next);
            if (result != got * got)
                wrong("a streamed result");
            ++got;
            most = std::max(most, own_megabytes());
            pause.expires_after(std::chrono::milliseconds{2});
            co_await pause.async_wait(asio::use_awaitable);
        }
    }
    figure("W11.imap.drawn_ahead", static_cast<double>(drawn - got), "items", "the window is 256 items for each of 2 workers");
    figure("W11.imap.rss_growth", most - before, "MB");
}

coproc::task<> w12()
{
    coproc::pool pool{{.workers = workers, .concurrency = 5000}};
    std::vector<number> inputs(10'000);
    std::iota(inputs.begin(), inputs.end(), 0);
    double best = 1e9;
    for (int i = 0; i < 5; ++i) {
        auto begin = clock::now();
        auto same_numbers = co_await pool.map(nap, inputs);
        best = std::min(best, seconds_since(begin));
        if (same_numbers != inputs)
            wrong("naps");
    }
    figure("W12.sleeps.10k_x_10ms", best, "s", "5000 at a time in each of 2 workers");
}

double dot(const std::vector<double>& weights, number n) { return weights[static_cast<std::size_t>(n)] * static_cast<double>(n); }

// A thousand calls of a function with 10 MB of state.
coproc::task<> state()
{
    coproc::pool pool{workers};
    auto f = coproc::bind_front(dot, std::vector<double>(10'000'000 / sizeof(double), 2.0));
    std::vector<number> inputs(1000);
    std::iota(inputs.begin(), inputs.end(), 0);
    double best = 1e9;
    for (int i = 0; i < 3; ++i) {
        auto begin = clock::now();
        auto products = co_await pool.map(f, inputs);
        best = std::min(best, seconds_since(begin));
        if (products.back() != 999.0 * 2)
            wrong("a large state");
    }
    figure("state.map1000_x_10MB", best, "s");
}

coproc::task<> async_main(std::vector<std::string> arguments)
{
    std::pair<std::string, coproc::task<> (*)()> all[] = {{"W1", w1}, {"W2", w2}, {"W3", w3}, {"W4", w4}, {"W5", w5}, {"W6", bench::w6}, {"W7", bench::w7}, {"W8", bench::w8},
                                                          {"W10", w10}, {"W11", w11}, {"W12", w12}, {"state", state}};
    for (auto& [name, workload] : all)
        if (arguments.size() < 2 || std::find(arguments.begin() + 1, arguments.end(), name) != arguments.end())
            co_await workload();
}

} // namespace

int main(int argc, char** argv) { return coproc::run(argc, argv, async_main); }
