// A program with an event loop and a signal handler of its own: coproc::init instead of coproc::run.
#include <coproc/coproc.hpp>

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/signal_set.hpp>

#include <csignal>
#include <cstdio>
#include <exception>

using namespace coproc;

int main(int argc, char** argv)
{
    init(argc, argv);
    init(argc, argv); // does nothing
    asio::io_context loop;
    asio::signal_set hang_up{loop, SIGHUP};
    int hung_up = 0, code = -1;
    hang_up.async_wait([&](std::error_code error, int number) { hung_up = error ? -1 : number; });
    asio::co_spawn(
        loop,
        []() -> task<int> {
            process p = co_await process::start([] { return 33; });
            const auto end = co_await p.join();
            std::raise(SIGHUP);
            co_return end.code();
        },
        [&](std::exception_ptr failure, int result) { code = failure ? -2 : result; });
    loop.run();
    std::printf("%d %d\n", code, hung_up == SIGHUP);
    return 0;
}
