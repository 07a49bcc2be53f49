// How a pool is made, and how a call is spread over it.
#pragma once

#include <coproc/remote_call.hpp>
#include <coproc/start_method.hpp>

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace coproc {

struct pool_options {
    /// The number of worker processes; 0: one for each usable core (cpu_count). Negative is a usage_error.
    int workers = 0;
    /// How many coroutines each worker runs at a time, on one event loop; 1 to 1,000,000. A task that is a coroutine begins
    /// when fewer than so many run there, and goes on whenever what it awaits is there. A plain function has its worker for
    /// itself: it begins in its turn, and the coroutines beside it wait until it returns (or goes on waiting, in sync_wait).
    ///
    /// With more than 1, a map of coroutines sends its elements one by one unless call_options::chunk_size says otherwise;
    /// the elements of a chunk run one after the other. A worker that dies costs all tasks that it had begun; in a chunk,
    /// the error names the first element.
    int concurrency = 1;
    /// Runs in each worker before its first task, also in those that replace others. If it throws, the pool fails with its
    /// exception. A coroutine is fine.
    remote_call initializer{};
    /// Runs in each worker that ends in an orderly way (close, max_tasks_per_worker). If it throws, close throws the first.
    remote_call finalizer{};
    /// A worker is replaced after so many tasks (elements of a map); 0: never.
    std::size_t max_tasks_per_worker = 0;
    /// Empty: get_start_method().
    std::optional<start_method> method{};
    /// Workers are called NAME-1, NAME-2, ...
    std::string name = "worker";
    /// close: how long a worker may take to end by itself before it gets SIGTERM, and then again before SIGKILL.
    std::chrono::milliseconds grace{5000};
};

/// How one call is spread over the workers. Trivially copyable, so that it can be written inside a co_await expression.
struct call_options {
    /// Elements of a map that travel and run together; 0 adapts to the measured cost of a task: small enough that all
    /// workers end at about the same time, large enough that messages don't count.
    std::size_t chunk_size = 0;
    /// Shown in errors; empty: the function's name where it is known.
    std::string_view name{};
};

} // namespace coproc
