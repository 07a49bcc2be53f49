// Pools in a process with few descriptors left.
#include "pool/tasks.hpp"

#include <coproc/pool.hpp>

#include <vector>

#include <sys/resource.h>
#include <unistd.h>

using namespace coproc;
using namespace pool_test;

namespace {

/// This process has so many descriptors and no more, until the end.
class descriptors_left {
public:
    explicit descriptors_left(int count)
    {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        int next = ::dup(0);
        ::close(next);
        rlimit now{static_cast<rlim_t>(next + count), before_.rlim_max};
        ::setrlimit(RLIMIT_NOFILE, &now);
    }
    ~descriptors_left() { ::setrlimit(RLIMIT_NOFILE, &before_); }
    descriptors_left(const descriptors_left&) = delete;
    descriptors_left& operator=(const descriptors_left&) = delete;

private:
    rlimit before_{};
};

} // namespace

TEST_CASE("a pool whose workers can't all be started at a time starts one after the other")
{
    in_loop([]() -> task<> {
        { // the fork server is there
            pool one{{.workers = 1}};
            co_await one.close();
        }
        descriptors_left few{40}; // five for each worker that runs, about thirteen while it is started
        pool p{{.workers = 5}};
        std::vector<int> numbers(100, 4);
        auto work = p.map(twice, numbers);
        auto results = co_await std::move(work);
        CHECK(results == std::vector<int>(100, 8));
        auto statistics = p.statistics();
        while (statistics.starting != 0) {
            auto more = p.apply(twice, 1);
            static_cast<void>(co_await std::move(more));
            statistics = p.statistics();
        }
        CHECK(statistics.idle + statistics.busy == 5);
        co_await p.close();
    });
}

TEST_CASE("a pool without descriptors for a single worker says so")
{
    in_loop([]() -> task<> {
        descriptors_left few{6};
        pool p{{.workers = 3}};
        auto work = p.apply(twice, 1);
        auto failure = failure_of(std::move(work));
        auto error = co_await std::move(failure);
        CHECK(is<std::system_error>(error, "can't start its workers: Too many open files"));
        co_await p.close();
    });
}
