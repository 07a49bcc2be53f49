// Workers on demand, calls that only some of them run, and what it all costs.
#include <coproc/coproc.hpp>

#include <iostream>
#include <numeric>
#include <vector>

long sum(long n)
{
    std::vector<long> numbers(static_cast<std::size_t>(n));
    std::iota(numbers.begin(), numbers.end(), 1L);
    return std::reduce(numbers.begin(), numbers.end());
}

int calls = 0; // one for each worker
int count_calls() { return ++calls; }

coproc::task<> async_main()
{
    using namespace std::chrono_literals;
    coproc::pool_options options;
    options.workers = 4;
    options.min_workers = 1;  // further ones come when tasks wait,
    options.idle_time = 10s;  // and leave when they had nothing to do for so long
    options.tags = {{"disk", {2, 3}}};
    coproc::pool pool{options};

    std::cout << "the sum is " << co_await pool.apply(sum, 1000) << ", by one of " << pool.statistics().workers << '\n';

    co_await pool.apply({.worker = 2}, count_calls); // starts it
    co_await pool.apply({.worker = 2}, count_calls);
    std::cout << "worker 2 has counted to " << co_await pool.apply({.worker = 2}, count_calls) << " of " << pool.statistics().workers << '\n';
    std::cout << "some disk has counted to " << co_await pool.apply({.tag = "disk"}, count_calls) << '\n';

    auto large = pool.submit({.measure = true}, sum, 4'000'000);
    co_await large.get();
    auto cost = large.statistics();
    std::cout << "a large sum took " << (cost->peak_growth > 30'000'000 ? "more" : "less") << " than 30 MB of memory\n";

    pool.recycle(); // new processes in the same places
    std::cout << "worker 2 has counted to " << co_await pool.apply({.worker = 2}, count_calls) << '\n';
    co_await pool.close();
    auto statistics = pool.statistics();
    std::cout << statistics.done << " tasks are done, " << statistics.failed << " have failed\n";
}

int main(int argc, char** argv) { return coproc::run(argc, argv, async_main); }

// Expected output:
// the sum is 500500, by one of 1
// worker 2 has counted to 3 of 2
// some disk has counted to 4
// a large sum took more than 30 MB of memory
// worker 2 has counted to 1
// 7 tasks are done, 0 have failed
