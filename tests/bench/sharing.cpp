// What processes share: queues, pipes and mutexes between two processes.
#include "figure.hpp"
#include "workloads.hpp"

#include <coproc/coproc.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include <sched.h>

namespace bench {
namespace {

using number = std::int64_t;
constexpr std::size_t mebibyte = 1 << 20;

coproc::task<> put_numbers(coproc::queue<number> q, int count)
{
    for (int i = 0; i < count; ++i)
        co_await q.put(i);
    q.close();
}

coproc::task<> put_blocks(coproc::queue<std::vector<char>> q, int count)
{
    const std::vector<char> block(mebibyte, 'x');
    for (int i = 0; i < count; ++i)
        co_await q.put(block);
    q.close();
}

// From the first item to the last, so that the start of the process doesn't count.
template <class T>
coproc::task<double> time_of(coproc::queue<T> q, int count)
{
    static_cast<void>(co_await q.get());
    auto begin = clock::now();
    int got = 1;
    while (auto item = co_await q.get())
        ++got;
    if (got != count)
        std::abort();
    co_return seconds_since(begin);
}

void stay_on_one_core()
{
    cpu_set_t first;
    CPU_ZERO(&first);
    CPU_SET(0, &first);
    ::sched_setaffinity(0, sizeof first, &first);
}

coproc::task<> echo(coproc::connection c)
{
    stay_on_one_core();
    std::array<std::byte, 64> bytes{};
    for (;;) {
        auto size = co_await c.recv_bytes_into(bytes);
        if (!size)
            co_return;
        co_await c.send_bytes(bytes);
    }
}

void count_with_mutex(coproc::shared_value<number> value, coproc::mutex mutex, coproc::event start, int count)
{
    coproc::sync_wait(start.wait());
    for (int i = 0; i < count; ++i) {
        mutex.lock();
        value.store(value.load() + 1);
        mutex.unlock();
    }
}

} // namespace

coproc::task<> w6()
{
    constexpr int small = 2'000'000, large = 1000;
    {
        coproc::queue<number> q;
        auto p = co_await coproc::process::start(put_numbers, q, small);
        auto time = time_of(q, small);
        figure("W6.queue.small", small / co_await std::move(time), "items/s", "unbounded, 8 bytes each");
        co_await p.join();
    }
    {
        coproc::queue<number> q{1024};
        auto p = co_await coproc::process::start(put_numbers, q, small);
        auto time = time_of(q, small);
        figure("W6.queue.small.bounded1024", small / co_await std::move(time), "items/s");
        co_await p.join();
    }
    {
        coproc::queue<std::vector<char>> q{8};
        auto p = co_await coproc::process::start(put_blocks, q, large);
        auto time = time_of(q, large);
        figure("W6.queue.1MiB", large * static_cast<double>(mebibyte) / 1e9 / co_await std::move(time), "GB/s", "at most 8 wait");
        co_await p.join();
    }
}

// Both on one core: across cores the figure is the machine's wake-up.
coproc::task<> w7()
{
    constexpr int rounds = 20'000, warm = 500;
    auto ends = coproc::pipe();
    auto p = co_await coproc::process::start(echo, std::move(ends.second));
    cpu_set_t before;
    ::sched_getaffinity(0, sizeof before, &before);
    stay_on_one_core();
    std::array<std::byte, 64> bytes{};
    auto begin = clock::now();
    for (int i = -warm; i < rounds; ++i) {
        if (i == 0)
            begin = clock::now();
        co_await ends.first.send_bytes(bytes);
        static_cast<void>(co_await ends.first.recv_bytes_into(bytes));
    }
    figure("W7.pipe.pingpong_bytes", rounds / seconds_since(begin), "rt/s", "awaited on both sides, one core");
    ::sched_setaffinity(0, sizeof before, &before);
    ends.first.close();
    co_await p.join();
}

coproc::task<> w8()
{
    constexpr int alone = 5'000'000, together = 2'000'000;
    coproc::mutex mutex;
    auto begin = clock::now();
    for (int i = 0; i < alone; ++i) {
        mutex.lock();
        mutex.unlock();
    }
    figure("W8.lock.uncontended", seconds_since(begin) / alone * 1e9, "ns");

    coproc::shared_value<number> value;
    coproc::event start;
    auto first = co_await coproc::process::start(count_with_mutex, value, mutex, start, together);
    auto second = co_await coproc::process::start(count_with_mutex, value, mutex, start, together);
    begin = clock::now();
    start.set();
    co_await first.join();
    co_await second.join();
    if (value.load() != 2 * together)
        std::abort();
    figure("W8.lock.contended2", 2 * together / seconds_since(begin), "inc/s");
}

} // namespace bench
