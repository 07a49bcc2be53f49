// The smallest user of the library: a pool, a function, three numbers.
#include <coproc/coproc.hpp>

#include <iostream>
#include <vector>

int square(int x) { return x * x; }

coproc::task<> async_main()
{
    coproc::pool pool{2};
    std::vector<int> numbers{1, 2, 3};
    for (int result : co_await pool.map(square, numbers))
        std::cout << result << '\n';
}

int main(int argc, char** argv) { return coproc::run(argc, argv, async_main); }
