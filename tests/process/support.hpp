// What the tests of this room share: coroutines in plain test cases, the three start methods, small bodies of processes.
#pragma once

#include <coproc/process.hpp>
#include <coproc/run.hpp>

#include <catch2/catch.hpp>

#include <cstdio>
#include <string>
#include <utility>

#include <unistd.h>

/// Runs the rest of the test case once for each start method.
#define EACH_START_METHOD(name)                                                                                              \
    const auto name = GENERATE(coproc::start_method::forkserver, coproc::start_method::spawn, coproc::start_method::fork);   \
    INFO("start method " << coproc::to_string(name))

namespace tests {

using coproc::process;
using coproc::process_options;
using coproc::start_method;
using coproc::task;

/// Runs a coroutine lambda to its end; what it captured lives as long.
template <class F>
auto await(F f)
{
    return coproc::sync_wait(f());
}

inline process_options by(start_method method)
{
    process_options options;
    options.method = method;
    return options;
}

/// With standard output in a pipe.
inline process_options piped(start_method method)
{
    process_options options = by(method);
    options.standard_output = coproc::pipe_stream;
    return options;
}

/// The body of a process that does nothing until it is killed.
inline void wait_for_the_end()
{
    for (;;)
        ::pause();
}

/// In a process: a line on standard output, at once.
inline void say(const std::string& line)
{
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
}

/// All that a process writes to its standard output until the end of the stream.
inline task<std::string> all_output(process& p)
{
    std::string all;
    for (;;) {
        auto more = co_await p.read_output();
        if (!more)
            co_return all;
        all += *more;
    }
}

/// One line of a process's standard output, without the newline; shorter at the end of the stream.
inline task<std::string> line_of(process& p)
{
    std::string line;
    for (;;) {
        auto more = co_await p.read_output(1);
        if (!more || *more == "\n")
            co_return line;
        line += *more;
    }
}

} // namespace tests
