#include "parallel_count.hpp"

#include "count.hpp"
#include "header_walk.hpp"

#include <deque>
#include <vector>

namespace {

// About 2 MB, 10 ms of work: little for the last worker to be late with, and much compared to a message.
constexpr std::size_t files_in_batch = 200;
constexpr int batches_for_worker = 3; // one that runs, one that waits behind it, one whose result is on its way

std::vector<std::string> next_batch(header_walk& walk)
{
    std::vector<std::string> batch;
    while (batch.size() < files_in_batch) {
        auto path = walk.next();
        if (!path)
            break;
        batch.push_back(std::move(*path));
    }
    return batch;
}

} // namespace

coproc::task<census> count_folder_in(coproc::pool& pool, std::string folder, progress& shown)
{
    header_walk walk{folder};
    std::deque<coproc::async_result<census>> in_flight;
    census total;
    for (bool more = true; more || !in_flight.empty();) {
        while (more && static_cast<int>(in_flight.size()) < pool.size() * batches_for_worker) {
            auto batch = next_batch(walk);
            more = !batch.empty();
            if (more)
                in_flight.push_back(pool.submit(count_files, std::move(batch)));
        }
        if (in_flight.empty())
            break;
        auto part = co_await in_flight.front().get();
        in_flight.pop_front();
        total += part;
        shown.update(total);
    }
    walk.add_failures_to(total);
    co_return total;
}
