// Pools in workers of a pool. Each process prints "worker PID"; then all of them wait for ever.
#include <coproc/pool.hpp>
#include <coproc/run.hpp>

#include <cstdio>
#include <unistd.h>
#include <vector>

namespace {

void tell()
{
    std::printf("worker %d\n", ::getpid());
    std::fflush(stdout);
}

int wait_for_ever(int)
{
    tell();
    for (;;)
        ::pause();
}

int with_inner_pool(int n)
{
    tell();
    coproc::sync_wait([](int m) -> coproc::task<> {
        coproc::pool inner{2};
        std::vector<int> inputs(2, m);
        co_await inner.map(wait_for_ever, inputs, {.chunk_size = 1});
    }(n));
    return n;
}

coproc::task<> async_main()
{
    coproc::pool pool{2};
    std::vector<int> inputs(2, 1);
    co_await pool.map(with_inner_pool, inputs, {.chunk_size = 1});
}

} // namespace

int main(int argc, char** argv) { return coproc::run(argc, argv, async_main); }
