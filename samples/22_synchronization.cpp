// Processes wait for one another: semaphore, event, barrier, latch, condition, shared and recursive mutex.
#include <coproc/coproc.hpp>

#include <iostream>
#include <mutex>
#include <shared_mutex>
#include <vector>

// At most two at a time. A process that dies gives its permit back.
coproc::task<> download(coproc::semaphore connections, coproc::shared_value<int> open, coproc::shared_value<int> most)
{
    auto permit = co_await connections.acquire();
    int now = open.fetch_add(1) + 1;
    for (int seen = most.load(); seen < now && !most.compare_exchange(seen, now);) {
    }
    open.fetch_sub(1);
}

// All begin together, work in rounds, and one of each round reports.
coproc::task<> simulate(coproc::event start, coproc::barrier barrier, coproc::latch done, coproc::shared_value<int> reports)
{
    co_await start.wait();
    for (int round = 0; round < 10; ++round)
        if (co_await barrier.arrive_and_wait()) // true for exactly one party
            reports.fetch_add(1);
    done.count_down();
}

// Takes turns with its peer.
coproc::task<> play(coproc::condition condition, coproc::shared_value<int> whose_turn, int me)
{
    for (int round = 0; round < 5; ++round) {
        auto held = co_await condition.acquire();
        co_await condition.wait(held, [&] { return whose_turn.load() == me; });
        whose_turn.store(1 - me);
        condition.notify_one();
    }
}

// Plain functions lock with the standard library's guards.
void deposit(coproc::shared_mutex mutex, coproc::shared_value<int> balance)
{
    for (int i = 0; i < 1000; ++i) {
        std::unique_lock writing{mutex};
        balance.store(balance.load() + 1);
    }
}

void update(coproc::recursive_mutex mutex, int depth)
{
    std::scoped_lock held{mutex};
    if (depth > 0)
        update(mutex, depth - 1); // its owner may take it again
}

coproc::task<> async_main()
{
    std::vector<coproc::process> processes;
    auto join_all = [&]() -> coproc::task<> {
        for (auto& process : processes)
            co_await process.join();
        processes.clear();
    };

    coproc::semaphore connections{2};
    coproc::shared_value<int> open, most;
    for (int i = 0; i < 4; ++i)
        processes.push_back(co_await coproc::process::start(download, connections, open, most));
    co_await join_all();
    std::cout << "at most two at a time: " << std::boolalpha << (most.load() <= 2) << '\n';

    coproc::event start;
    coproc::barrier barrier{3};
    coproc::latch done{3};
    coproc::shared_value<int> reports;
    for (int i = 0; i < 3; ++i)
        processes.push_back(co_await coproc::process::start(simulate, start, barrier, done, reports));
    start.set();
    co_await done.wait();
    std::cout << "reports: " << reports.load() << '\n';
    co_await join_all();

    coproc::condition condition;
    coproc::shared_value<int> whose_turn;
    for (int player = 0; player < 2; ++player)
        processes.push_back(co_await coproc::process::start(play, condition, whose_turn, player));
    co_await join_all();
    std::cout << "the next turn is player " << whose_turn.load() << "'s\n";

    coproc::shared_mutex mutex;
    coproc::shared_value<int> balance;
    for (int i = 0; i < 2; ++i)
        processes.push_back(co_await coproc::process::start(deposit, mutex, balance));
    co_await join_all();
    {
        auto reading = co_await mutex.acquire_shared();
        std::cout << "balance: " << balance.load() << '\n';
    }

    processes.push_back(co_await coproc::process::start(update, coproc::recursive_mutex{}, 3));
    co_await join_all();

    coproc::bounded_semaphore bounded{1};
    try {
        bounded.release();
    } catch (const coproc::usage_error& error) {
        std::cout << error.what() << '\n';
    }
}

int main(int argc, char** argv) { return coproc::run(argc, argv, async_main); }

// Expected output:
// at most two at a time: true
// reports: 10
// the next turn is player 0's
// balance: 2000
// a bounded semaphore was released more often than it was acquired
