// Workers that print: what a task has printed is there when its result is, whatever happens to its worker then.
#include <coproc/error.hpp>
#include <coproc/pool.hpp>
#include <coproc/run.hpp>

#include <cstdio>
#include <iostream>
#include <unistd.h>

namespace {

void say(int n)
{
    std::printf("printf %d ", n);
    std::cout << "cout " << n << ' ';
    std::fprintf(stderr, "stderr %d\n", n);
}
void die() { ::_exit(0); }

coproc::task<> async_main()
{
    coproc::pool pool{1};
    for (int i = 0; i < 20; ++i) {
        auto said = pool.submit(say, i); // both are in the worker's pipe when it wakes
        auto died = pool.submit(die);
        co_await said.get();
        try {
            co_await died.get();
        } catch (const coproc::worker_crashed&) {
        }
    }
}

} // namespace

int main(int argc, char** argv) { return coproc::run(argc, argv, async_main); }
