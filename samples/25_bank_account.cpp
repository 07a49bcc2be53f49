// Two processes change one balance, first without and then with a mutex. Without it the balance is read and written in two
// steps, so changes of the other process in between are lost, now and then.
#include <coproc/coproc.hpp>

#include <iostream>
#include <mutex>

void deposit(coproc::shared_value<int> balance, coproc::mutex mutex, bool careful, int amount)
{
    for (int i = 0; i < 100'000; ++i) {
        std::unique_lock<coproc::mutex> held{mutex, std::defer_lock};
        if (careful)
            held.lock();
        balance.store(balance.load() + amount);
    }
}

coproc::task<int> balance_after(bool careful)
{
    coproc::shared_value<int> balance{100};
    coproc::mutex mutex;
    auto paid_in = co_await coproc::process::start(deposit, balance, mutex, careful, 1);
    auto taken_out = co_await coproc::process::start(deposit, balance, mutex, careful, -1);
    co_await paid_in.join();
    co_await taken_out.join();
    co_return balance.load();
}

coproc::task<> async_main()
{
    int careless = co_await balance_after(false);
    std::cout << "without: anything may come out, at most " << (careless <= 100'100 ? "100100" : "more") << '\n';
    std::cout << "with: " << co_await balance_after(true) << '\n';
}

int main(int argc, char** argv) { return coproc::run(argc, argv, async_main); }

// Expected output:
// without: anything may come out, at most 100100
// with: 100
