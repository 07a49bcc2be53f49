// What the tests of this room share.
#pragma once

#include "support/proc.hpp"

#include <coproc/detail/value.hpp>
#include <coproc/process.hpp>
#include <coproc/run.hpp>

#include <catch2/catch.hpp>

#include <csignal>
#include <cstddef>
#include <utility>
#include <unistd.h>
#include <vector>

namespace shared_test {

/// Runs the coroutine that `f` makes; `f` lives as long.
template <class F>
auto await(F f)
{
    return coproc::sync_wait(f());
}

/// Runs f(args...) in a new process to its end; its exit code, or minus the signal that killed it.
template <class F, class... Args>
int in_process(F f, Args... args)
{
    return await([&]() -> coproc::task<int> {
        auto start = coproc::process::start(f, args...);
        coproc::process process = co_await std::move(start);
        auto end = process.join();
        coproc::exit_status status = co_await std::move(end);
        co_return status.signal() != 0 ? -status.signal() : status.code();
    });
}

/// The value as it arrives at the other end of a message within this process.
template <class To, class From>
To passed_on(const From& value)
{
    coproc::detail::buffer message;
    coproc::output_archive out{message};
    coproc::detail::save_value(out, value);
    coproc::input_archive in{message.data(), message.size(), &message.attachments()};
    To result;
    coproc::detail::load_value(in, result);
    return result;
}

inline std::size_t mapped_files() { return support::memory_files_mapped_by(::getpid()).size(); }

/// Memory files that some descriptor of this process holds.
inline std::size_t open_files()
{
    std::size_t count = 0;
    for (auto& [number, target] : support::open_descriptors(::getpid()))
        count += (target.starts_with("/memfd:coproc") && !target.starts_with("/memfd:coproc program"))
                 || target.starts_with("/dev/shm");
    return count;
}

} // namespace shared_test
