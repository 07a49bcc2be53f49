// An attempt to start a process, which may fail.
#pragma once

#include "process/support.hpp"

#include <coproc/error.hpp>

#include <system_error>

namespace tests {

/// Starts a process with three pipes and joins it. The errno, 0 if all went well, -1 for an error of coproc's own.
inline task<int> try_one(start_method method)
{
    try {
        auto options = by(method);
        options.standard_input = coproc::pipe_stream;
        options.standard_output = coproc::pipe_stream;
        options.standard_error = coproc::pipe_stream;
        process p = co_await process::start(options, [] { return 9; });
        const auto end = co_await p.join();
        co_return end.code() == 9 ? 0 : 1000;
    } catch (const std::system_error& e) {
        co_return e.code().value();
    } catch (const coproc::error& e) {
        UNSCOPED_INFO("error: " << e.what());
        co_return -1;
    }
}

} // namespace tests
