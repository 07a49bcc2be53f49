// A task that gives many results, each as soon as it is there, and one that tells how far it is.
#include <coproc/coproc.hpp>

#include <iostream>
#include <string>

// A generator: in a worker it runs ahead of whoever takes its items, but only so far.
coproc::stream<long> primes(long from)
{
    for (long n = from;; ++n) {
        bool prime = n > 1;
        for (long d = 2; prime && d * d <= n; ++d)
            prime = n % d != 0;
        if (prime)
            co_yield n;
    }
}

int bake(int cakes)
{
    for (int done = 0; done < cakes; ++done) // stands for work that takes a while
        coproc::this_task::report_progress(coproc::this_task::at_once, static_cast<double>(done) / cakes, "cake " + std::to_string(done + 1));
    return cakes;
}

coproc::task<> async_main()
{
    coproc::pool pool{2};

    auto small = pool.apply(primes, 10), large = pool.apply({.in_flight = 2}, primes, 1'000'000'000'000); // both at once
    for (int i = 0; i < 3; ++i) {
        auto a = co_await small.next(), b = co_await large.next();
        std::cout << *a << ' ' << *b << '\n';
    }
    small = {}; // stops the generator, which would go on for ever
    large = {};

    auto show = [](const coproc::progress& p) {
        if (p.index)
            std::cout << 100 * p.fraction << "% " << p.text << '\n';
        else
            std::cout << p.done << " of " << *p.total << " done\n";
    };
    co_await pool.apply({.on_progress = show}, bake, 2);
}

int main(int argc, char** argv) { return coproc::run(argc, argv, async_main); }

// Expected output:
// 11 1000000000039
// 13 1000000000061
// 17 1000000000063
// 0% cake 1
// 50% cake 2
// 1 of 1 done
