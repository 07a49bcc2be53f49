// What goes wrong in a worker arrives where its result is awaited: exceptions with their type, crashes with a signal.
#include <coproc/coproc.hpp>

#include <csignal>
#include <iostream>
#include <ranges>
#include <stdexcept>

double inverse(int n)
{
    if (n == 0)
        throw std::domain_error{"zero has no inverse"};
    return 1.0 / n;
}

int careless(int n)
{
    if (n == 2)
        std::raise(SIGSEGV); // a worker dies, and its task with it; nothing else is lost
    return n;
}

coproc::task<> async_main()
{
    coproc::pool pool{2};
    try {
        co_await pool.map(inverse, std::views::iota(-3, 3));
    } catch (const std::domain_error& e) { // the standard type that was thrown ...
        std::cout << "domain_error: " << e.what() << '\n';
    }
    try {
        co_await pool.map(inverse, std::views::iota(-3, 3));
    } catch (const coproc::remote_error& e) { // ... which is also a remote_error, and that knows more
        std::cout << e.type_name() << " from input number " << e.index() << '\n';
    }
    try {
        co_await pool.map(careless, std::views::iota(0, 4));
    } catch (const coproc::worker_crashed& e) {
        std::cout << "input number " << e.index() << " crashed its worker by signal " << e.signal() << '\n';
    }
    double half = co_await pool.apply(inverse, 2);
    std::cout << "and the pool works on: " << half << '\n';
}

int main(int argc, char** argv) { return coproc::run(argc, argv, async_main); }

// Expected output:
// domain_error: zero has no inverse
// std::domain_error from input number 3
// input number 2 crashed its worker by signal 11
// and the pool works on: 0.5
