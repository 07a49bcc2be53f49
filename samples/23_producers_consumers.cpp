// Several producers and several consumers, each in a process of its own, tied by a bounded queue. Nobody counts who is done:
// the parent closes the queue when the producers have ended, and the consumers' loops end when it is empty.
#include <coproc/coproc.hpp>

#include <iostream>
#include <string>
#include <vector>

struct parcel {
    int from = 0, number = 0;

    template <class Archive>
    void serialize(Archive& archive)
    {
        archive(from, number);
    }
};

coproc::task<> produce(coproc::queue<parcel> q, int who)
{
    for (int i = 1; i <= 100; ++i)
        co_await q.put({who, i}); // waits while five are under way
}

coproc::task<> consume(coproc::queue<parcel> q, coproc::shared_value<long> sum)
{
    while (auto item = co_await q.get())
        sum.fetch_add(item->number);
}

coproc::task<> async_main()
{
    coproc::queue<parcel> q{5};
    coproc::shared_value<long> sum;
    std::vector<coproc::process> producers, consumers;
    for (int i = 0; i < 3; ++i)
        producers.push_back(co_await coproc::process::start(produce, q, i));
    for (int i = 0; i < 2; ++i)
        consumers.push_back(co_await coproc::process::start(consume, q, sum));
    for (auto& p : producers)
        co_await p.join();
    q.close();
    for (auto& c : consumers)
        co_await c.join();
    std::cout << "300 parcels, sum " << sum.load() << '\n';
}

int main(int argc, char** argv) { return coproc::run(argc, argv, async_main); }

// Expected output:
// 300 parcels, sum 15150
