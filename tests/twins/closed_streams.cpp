// A program that closes its standard streams, then starts processes with pipes. Its exit code is 0 if all went well.
#include <coproc/coproc.hpp>

#include <cstdio>
#include <string>

#include <fcntl.h>
#include <unistd.h>

using namespace coproc;

namespace {

task<int> echo_by(start_method method)
{
    process_options options;
    options.method = method;
    options.standard_input = pipe_stream;
    options.standard_output = pipe_stream;
    options.standard_error = pipe_stream;
    process p = co_await process::start(options, [] {
        for (int c; (c = ::getchar()) != EOF;) {
            std::fputc(c, stdout);
            std::fputc(c + 1, stderr);
        }
        return 11;
    });
    if (!co_await p.write_input("abc"))
        co_return 2;
    p.close_input();
    auto out = co_await p.read_output();
    auto err = co_await p.read_error();
    const auto end = co_await p.join();
    if (out != "abc" || err != "bcd" || end.code() != 11)
        co_return 3;

    // Kept streams are closed here: there they lead to /dev/null, and no other descriptor takes their places.
    process_options kept;
    kept.method = method;
    kept.standard_input = keep_stream;
    process q = co_await process::start(kept, [] {
        for (int number : {0, 1, 2})
            if (::fcntl(number, F_GETFD) < 0)
                return 1;
        std::printf("nowhere\n");
        return ::getchar() == EOF ? 12 : 2;
    });
    const auto end_q = co_await q.join();
    co_return end_q.code() == 12 ? 0 : 4;
}

task<int> echo_by_all()
{
    for (auto method : {start_method::forkserver, start_method::spawn, start_method::fork})
        if (int wrong = co_await echo_by(method); wrong != 0)
            co_return 10 * static_cast<int>(method) + wrong;
    co_return 0;
}

} // namespace

int main(int argc, char** argv)
{
    for (int number : {0, 1, 2})
        ::close(number);
    return run(argc, argv, echo_by_all);
}
