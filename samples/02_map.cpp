// A pool of worker processes, one for each core, applies a function to many values; results keep the inputs' order.
#include <coproc/coproc.hpp>

#include <algorithm>
#include <iostream>
#include <ranges>

int steps_to_one(long n) // the Collatz sequence: halve what is even, else 3n + 1
{
    int steps = 0;
    for (; n != 1; ++steps)
        n = n % 2 == 0 ? n / 2 : 3 * n + 1;
    return steps;
}

coproc::task<> async_main()
{
    coproc::pool pool;
    auto steps = co_await pool.map(steps_to_one, std::views::iota(1, 100'000));
    auto longest = std::ranges::max_element(steps);
    std::cout << longest - steps.begin() + 1 << " takes " << *longest << " steps\n";
}

int main(int argc, char** argv) { return coproc::run(argc, argv, async_main); }

// Expected output:
// 77031 takes 350 steps
