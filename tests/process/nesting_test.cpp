// Processes in processes.
#include <coproc/pool.hpp>
#include <coproc/process.hpp>
#include <coproc/run.hpp>

#include "process/runtime.hpp"

#include <catch2/catch.hpp>

#include <string>

namespace {

// Starts itself without end; the exit code is how deep it came, counted from the innermost.
coproc::task<int> start_another()
{
    int code = 0;
    try {
        auto p = co_await coproc::process::start(start_another);
        auto status = co_await p.join();
        code = status.code() + 1;
    } catch (const coproc::usage_error& e) {
        code = std::string{e.what()}.find("nested") != std::string::npos ? 0 : 100;
    }
    co_return code;
}

int pool_in_pool(int)
{
    try {
        coproc::pool pool{1};
        return coproc::sync_wait(pool.apply(pool_in_pool, 0)) + 1;
    } catch (const coproc::usage_error&) {
        return 0;
    }
}

coproc::task<int> exit_code_of_nested()
{
    auto p = co_await coproc::process::start(start_another);
    co_return (co_await p.join()).code();
}

} // namespace

TEST_CASE("a process that starts itself without end is stopped at a depth, with a clear error", "[LIM-004]")
{
    CHECK(coproc::sync_wait(exit_code_of_nested()) == static_cast<int>(coproc::detail::max_process_depth) - 1);
}

TEST_CASE("pools in pools without end are stopped at the same depth", "[LIM-004]")
{
    coproc::pool pool{1};
    CHECK(coproc::sync_wait(pool.apply(pool_in_pool, 0)) == static_cast<int>(coproc::detail::max_process_depth) - 1);
}
