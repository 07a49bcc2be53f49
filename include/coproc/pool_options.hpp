// How a pool is made, and how a call is spread over it.
#pragma once

#include <coproc/progress.hpp>
#include <coproc/remote_call.hpp>
#include <coproc/start_method.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace coproc {

/// Workers that have something in common, by their places: numbers from 0 to pool_options::workers - 1.
struct worker_tag {
    std::string name;
    std::vector<int> places;
};

struct pool_options {
    /// The number of worker processes; 0: one for each usable core (cpu_count). Negative is a usage_error.
    int workers = 0;
    /// How many of them are there even when there is nothing to do. Without a value: all, or none if there is an idle_time.
    /// Further ones are started when a task would have to wait behind one that runs, at once and one for each such task.
    /// More than `workers`, or below 0, is a usage_error.
    std::optional<int> min_workers{};
    /// A worker beyond min_workers that had no task for so long ends by itself, in an orderly way (the finalizer runs); 0:
    /// never. Counted in whole milliseconds, from 1. The pool needs no timer for this, nor a loop that runs: it hears of it
    /// when it is used next, and until then a process that has ended may be seen as a zombie.
    std::chrono::nanoseconds idle_time{0};
    /// Names for some workers, for call_options::tag. A name twice, or a place that there isn't, is a usage_error.
    std::vector<worker_tag> tags{};
    /// How many coroutines each worker runs at a time, on one event loop; 1 to 1,000,000. A task that is a coroutine begins
    /// when fewer than so many run there, and goes on whenever what it awaits is there. A plain function has its worker for
    /// itself: it begins in its turn, and the coroutines beside it wait until it returns (or goes on waiting, in sync_wait).
    ///
    /// With more than 1, a map of coroutines sends its elements one by one unless call_options::chunk_size says otherwise;
    /// the elements of a chunk run one after the other. A worker that dies costs all tasks that it had begun; in a chunk,
    /// the error names the first element.
    int concurrency = 1;
    /// Runs in each worker before its first task, also in those that replace others; the place for make_state. If it throws,
    /// the pool fails with its exception. It has no limit of its own: a call's deadline holds, and grace when the worker is
    /// told to end. A coroutine is fine. (std::rand starts from a seed of its own in each worker.) Handles reach the tasks
    /// so: bind_front(init, mutex, queue), where init does make_state.
    remote_call initializer{};
    /// Runs in each worker that ends in an orderly way (close, max_tasks_per_worker, max_age, idle_time, resize, recycle), for
    /// as long as `grace` allows. If it throws, close throws the first.
    remote_call finalizer{};
    /// A worker is replaced after so many tasks (elements of a map); 0: never.
    std::size_t max_tasks_per_worker = 0;
    /// A worker is replaced, between two tasks, once it has more bytes than this in RAM, or is older than max_age; 0: never.
    std::size_t max_memory_per_worker = 0;
    std::chrono::nanoseconds max_age{0};
    /// What each worker may use, from before its initializer on; 0: what this process may. memory_limit is in bytes of
    /// private memory, beyond which allocations fail (std::bad_alloc); a worker that has used cpu_limit of processor time is
    /// killed (worker_crashed with SIGXCPU) and replaced.
    std::size_t memory_limit = 0;
    std::chrono::seconds cpu_limit{0};
    std::size_t open_files_limit = 0;
    /// What workers write to standard error goes through the pool, which passes it on to that of this process and keeps the
    /// last lines for worker_crashed::last_output. Else they have the standard error of this process, and no crash tells
    /// what was written. It has a price: standard error is a pipe for them, no terminal, and a worker that has written 64
    /// KiB waits until the loop that the pool is awaited on runs again.
    bool capture_stderr = false;
    /// Keeps each worker on a processor of its own, as far as there are enough.
    bool pin_workers = false;
    /// Empty: get_start_method().
    std::optional<start_method> method{};
    /// Workers are called NAME-1, NAME-2, ...
    std::string name = "worker";
    /// How long a worker that is told to end may take to end by itself before it gets SIGTERM, and then again before SIGKILL.
    std::chrono::milliseconds grace{5000};
};

/// What becomes of a map when one of its tasks fails for good.
enum class error_policy {
    cancel_rest, ///< the rest is withdrawn, and the call throws the first failure, by index
    finish_all   ///< the other tasks run all the same; then the call throws the first failure, by index
};
inline constexpr error_policy cancel_rest = error_policy::cancel_rest;
inline constexpr error_policy finish_all = error_policy::finish_all;

/// How one call is spread over the workers, and what it may cost. Trivially copyable, so that it can be written inside a
/// co_await expression. Times and retries below zero are usage_errors.
///
/// With a time limit, retries, an error policy of its own or measured, each task of a map travels alone (chunk_size is 1).
struct call_options {
    /// Elements of a map that travel and run together; 0 adapts to the measured cost of a task: small enough that all
    /// workers end at about the same time, large enough that messages don't count.
    std::size_t chunk_size = 0;
    /// Of a stream: how many elements of the input may be taken before their results are (imap; 0: some hundred for each
    /// worker), or how many items may be made before they are taken (apply of a generator; 0: 1024).
    std::size_t in_flight = 0;
    /// How long one task may run, from the moment a worker begins it; 0: without limit. Then the call throws timeout_error
    /// at once; the task is asked to stop (this_task::stop_requested), its worker gets SIGTERM after pool_options::grace
    /// and SIGKILL after as long again, and nothing else is harmed.
    std::chrono::nanoseconds timeout{0};
    /// How long the whole call may take, from the moment it is submitted; 0: without limit. Then it throws timeout_error,
    /// what waits is withdrawn, and what runs is stopped as by `timeout`.
    std::chrono::nanoseconds deadline{0};
    /// How many times a task is tried again after an exception, a crash or a timeout. Without retries a task runs at most
    /// once; with them, as many times as it fails. A new try begins when the last one has ended for certain. A task that was
    /// given an end of a connection is not tried again once it has begun, for that end is gone with it: its first error is
    /// the call's.
    int retries = 0;
    /// What a new try waits for: about this time before the first one, twice as long before each further one, less a random
    /// part of up to half of it, so that tries don't come in step.
    std::chrono::nanoseconds backoff{0};
    /// Whether this error is worth a new try; null: every error is. Runs in the calling process, under the pool's lock.
    /// What it throws fails the task instead.
    bool (*retry_if)(const std::exception_ptr&) = nullptr;
    /// What waits for a worker goes by priority, higher first; equals take turns, call by call.
    int priority = 0;
    error_policy on_error = error_policy::cancel_rest;
    /// Only the worker in this place (0 to pool::size() - 1), or its replacement, runs the call; -1: any. What else there is
    /// to do doesn't wait for it. A place that there isn't is a usage_error, as is a worker and a tag.
    int worker = -1;
    /// Only workers with this tag (pool_options::tags) run the call; empty: any. An unknown one is a usage_error.
    std::string_view tag{};
    /// Each task's cost is measured (async_result::statistics, pool_statistics::measured). Each then travels alone, and pays
    /// for two calls of getrusage and a message, about 2 µs.
    bool measure = false;
    /// Called in this process, by the coroutine that awaits the call (or the next() of its stream) and on its executor, in the
    /// order of what happened and before the call completes: when tasks have ended, and when one reports
    /// (this_task::report_progress). At most 20 times a second, for all that has come since; but at once for a report that
    /// asks for it, and at the end, which a call that succeeds always tells, without input too. While nobody awaits the call
    /// it gathers, reports up to the last 1000. What it throws cancels the call and is thrown by it.
    progress_callback on_progress{};
    /// Shown in errors; empty: the function's name where it is known.
    std::string_view name{};
};

/// Says collect instead of a policy: the call gives an outcome, a result or an error, for each element of its input.
struct collect_t {
    explicit collect_t() = default;
};
inline constexpr collect_t collect{};

namespace detail {
/// Can't be left out in braces, so that options without `.on_error = collect` are call_options.
struct collect_only {
    collect_only(collect_t) noexcept {}
};
} // namespace detail

/// call_options for a map that collects; the names mean the same.
struct collect_options {
    std::size_t chunk_size = 0;
    std::size_t in_flight = 0;
    std::chrono::nanoseconds timeout{0};
    std::chrono::nanoseconds deadline{0};
    int retries = 0;
    std::chrono::nanoseconds backoff{0};
    bool (*retry_if)(const std::exception_ptr&) = nullptr;
    int priority = 0;
    detail::collect_only on_error;
    int worker = -1;
    std::string_view tag{};
    bool measure = false;
    progress_callback on_progress{};
    std::string_view name{};

    /// The same without the collecting.
    operator call_options() const noexcept
    {
        return {chunk_size, in_flight, timeout, deadline, retries,     backoff,     retry_if, priority, error_policy::finish_all,
                worker,     tag,       measure, on_progress, name};
    }
};

} // namespace coproc
