// A pool of worker processes.
//
//     in this process                          |  out there, once for each worker
//     -----------------------------------------+--------------------------------------------
//     map, apply, submit: a job                |
//     scheduler: which chunk goes where        |
//     chunk = function + arguments ---- pipe --+-> claims the chunk, decodes, calls
//     results, by index  <---- shared ring ----+-- encodes the result; rings the doorbell
//
// The scheduling is all in this process, and workers share nothing with each other: a worker that is killed at any
// instruction costs the task it was running, whose caller gets worker_crashed, and nothing else. What it had finished is
// in the ring already; what it had not begun is given to others; it is replaced.
//
// A task is run at most once, unless retries are asked for.
#pragma once

#include <coproc/async_result.hpp>
#include <coproc/detail/generator_job.hpp>
#include <coproc/detail/job.hpp>
#include <coproc/detail/stream_job.hpp>
#include <coproc/pool_options.hpp>
#include <coproc/pool_statistics.hpp>
#include <coproc/stream.hpp>
#include <coproc/task.hpp>

#include <asio/any_io_executor.hpp>

#include <concepts>
#include <memory>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

namespace coproc {

namespace detail {
std::shared_ptr<pool_state> make_pool(asio::any_io_executor executor, pool_options options, bool in_line);
}

/// No workers: every task runs in the calling process, one after the other, in the coroutine that awaits it.
/// Retries and error policies hold as with workers; there are no time limits, priorities, nor processes to survive a crash.
struct inline_workers_t {
    explicit inline_workers_t() = default;
};
inline constexpr inline_workers_t inline_workers{};

/// For pool::close: what has not begun is not waited for.
struct cancel_pending_t {
    explicit cancel_pending_t() = default;
};
inline constexpr cancel_pending_t cancel_pending{};

/// Runs functions in worker processes.
///
/// Functions and arguments are what process::start takes; results are what cereal can serialize, default constructible. A
/// function that returns task<R> runs on an event loop of its worker, pool_options::concurrency of them at a time, and gives R.
///
/// Loop:     its I/O runs on the executor it was given, else on the loop of coproc::run or sync_wait that it was made in,
///           else on the executor of the first coroutine that awaits one of its calls.
/// Errors:   what a task threw (see remote_error); worker_crashed; usage_error after close; std::system_error if workers
///           can't be started. A pool whose workers die again and again without coming to a task, or whose initializer
///           throws, fails: all its calls throw the reason.
/// Threads:  all members may be called from any thread, but not by the iterators of an input nor by the serialization of
///           arguments and results of the same pool's calls: they are run under its lock (usage_error).
/// Lifetime: calls in progress keep the inner state alive; the destructor stops the workers (SIGKILL), and calls that are
///           not done throw cancelled_error. Input ranges that are passed as lvalues must live until the call is done.
class pool {
public:
    /// One worker for each usable core.
    pool() : pool{pool_options{}} {}
    /// Throws usage_error for fewer than one.
    explicit pool(int workers) : pool{with_workers(workers)} {}
    explicit pool(pool_options options) : pool{asio::any_io_executor{}, std::move(options)} {}
    explicit pool(inline_workers_t) : state_{detail::make_pool({}, {}, true)} {}
    pool(asio::any_io_executor executor, pool_options options)
        : state_{detail::make_pool(std::move(executor), std::move(options), false)}
    {
    }
    pool(pool&&) noexcept = default;
    pool& operator=(pool&& other) noexcept;
    ~pool();

    /// The number of workers it has when all are there; 0 for inline_workers.
    [[nodiscard]] int size() const noexcept;

    /// From now on it has so many workers. Those that are missing are started; those in the places beyond end what they run
    /// and are stopped, and what waited there goes elsewhere. Does not wait for either.
    /// Throws usage_error for fewer than 1 or than pool_options::min_workers, for inline_workers, and, changing nothing,
    /// while a call is not done that is bound to places beyond alone.
    void resize(int workers);
    /// Replaces all workers: idle ones at once, others when they have ended what they run. Does not wait for it.
    void recycle();
    /// How it stands at this moment. Of inline_workers only the tasks so far (done, failed and retried) would make sense, and
    /// these are not counted.
    [[nodiscard]] pool_statistics statistics() const;

    /// Calls `f(args...)` in a worker and completes with its result: gives a task of it, or, if `f` is a generator, which
    /// returns a stream, a stream of its items:
    ///
    ///     coproc::stream<int> numbers(int count); // with co_yield
    ///     auto items = pool.apply(numbers, 10);
    ///     while (auto n = co_await items.next()) ...
    ///
    /// A generator is submitted at once and runs as a coroutine does (pool_options::concurrency); its items come as they
    /// are made, in order. It is suspended in its co_yield while so many wait to be taken as call_options::in_flight says
    /// (0: 1024), or more than 32 MiB of them, however large the last one is.
    ///
    /// Places:  a generator keeps its worker, or one of the coroutines that run there at a time, until it has ended, also while
    ///          it is suspended. A pool whose own tasks consume its items, as in pool.imap(f, pool.apply(g)), needs one more
    ///          place than such generators: else the tasks wait for the generator, and it for them.
    /// Throws:  of a generator (next): what it threw, worker_crashed or timeout_error, after all items that it had made;
    ///          call_options::timeout counts the time that it is suspended. With retries it is a usage_error (apply).
    /// Cancel:  dropping the stream or cancelling its next() asks the generator to stop: it is cancelled where it waits, or
    ///          destroyed in its next co_yield; then as any task. pool::close waits until the stream has ended or is dropped.
    /// Cost:    of a small item, 0.6 us (measured with g++ 12 -O3, two cores); more than 60 KiB travel in shared memory.
    template <class F, class... Args>
        requires(!std::is_same_v<std::remove_cvref_t<F>, call_options>)
    [[nodiscard]] auto apply(F&& f, Args&&... args) -> detail::applied_t<F, Args...>
    {
        return apply(call_options{}, std::forward<F>(f), std::forward<Args>(args)...);
    }
    template <class F, class... Args>
    [[nodiscard]] auto apply(const call_options& options, F&& f, Args&&... args) -> detail::applied_t<F, Args...>
    {
        if constexpr (detail::is_generator_call<F, Args...>) {
            using job = detail::generator_job<typename detail::applied_t<F, Args...>::value_type>;
            return open<job>(std::make_shared<job>(options, std::forward<F>(f), std::forward<Args>(args)...));
        } else {
            using result = detail::call_result_t<F, Args...>;
            return finish<result>(state(), std::make_shared<detail::single_job<result>>(options, std::forward<F>(f), std::forward<Args>(args)...));
        }
    }

    /// The same, without waiting: the task is submitted before this returns.
    template <class F, class... Args>
        requires(!std::is_same_v<std::remove_cvref_t<F>, call_options>)
    auto submit(F&& f, Args&&... args) -> async_result<detail::call_result_t<F, Args...>>
    {
        return submit(call_options{}, std::forward<F>(f), std::forward<Args>(args)...);
    }
    template <class F, class... Args>
    auto submit(const call_options& options, F&& f, Args&&... args) -> async_result<detail::call_result_t<F, Args...>>
    {
        using result = detail::call_result_t<F, Args...>;
        auto job = std::make_shared<detail::single_job<result>>(options, std::forward<F>(f), std::forward<Args>(args)...);
        detail::submit_job(state(), job);
        return {state(), std::move(job)};
    }

    /// Applies `f` to each element of `inputs` in the workers; results keep the order of the inputs.
    ///
    /// Shape:   n inputs -> vector of n results (nothing, for a function that returns void); n = 0 completes at once.
    ///          Any input range, of unknown length too; it is read as far ahead as the workers need.
    /// Options: chunk_size in elements, 0 = adapt to the measured cost of a task; time limits, retries, priority: see
    ///          call_options. With `.on_error = collect` the results are outcomes, and no task's failure is thrown.
    /// Throws:  what the input threw; what `f` threw first, by index, once the rest is withdrawn; worker_crashed;
    ///          timeout_error.
    /// Cancel:  waiting elements are withdrawn; running ones are asked to stop and stopped after pool_options::grace.
    /// Cost:    one message for each chunk and one for its results; more than 60 KiB of either travel in shared memory.
    template <class F, std::ranges::input_range Inputs>
    [[nodiscard]] auto map(F&& f, Inputs&& inputs, call_options options = {})
    {
        using result = detail::call_result_t<F, std::ranges::range_reference_t<Inputs>>;
        return start_map<result, false>(options, f, std::views::all(std::forward<Inputs>(inputs)));
    }

    template <class F, std::ranges::input_range Inputs>
    [[nodiscard]] auto map(F&& f, Inputs&& inputs, collect_options options)
    {
        using result = detail::call_result_t<F, std::ranges::range_reference_t<Inputs>>;
        return start_map<result, false, true>(options, f, std::views::all(std::forward<Inputs>(inputs)));
    }

    /// As map, for a range of tuples (or pairs), each of which holds the arguments of one call.
    template <class F, std::ranges::input_range Inputs>
    [[nodiscard]] auto starmap(F&& f, Inputs&& inputs, call_options options = {})
    {
        using element = std::ranges::range_reference_t<Inputs>;
        return start_starmap<F, element, false>(options, f, std::views::all(std::forward<Inputs>(inputs)),
                                                std::make_index_sequence<std::tuple_size_v<std::remove_cvref_t<element>>>{});
    }
    template <class F, std::ranges::input_range Inputs>
    [[nodiscard]] auto starmap(F&& f, Inputs&& inputs, collect_options options)
    {
        using element = std::ranges::range_reference_t<Inputs>;
        return start_starmap<F, element, true>(options, f, std::views::all(std::forward<Inputs>(inputs)),
                                               std::make_index_sequence<std::tuple_size_v<std::remove_cvref_t<element>>>{});
    }

    /// Applies `f` to each element of `inputs` in the workers, and gives the results one by one while it goes on: imap in
    /// the order of the inputs, imap_unordered as they come.
    ///
    /// Input:   any input range, an endless one too. It is read from now on, at most `in_flight` elements (0: 256 for each
    ///          worker) ahead of the results that were taken, and not while results of 32 MiB wait to be taken.
    /// Options: as for map; `.on_error = finish_all` gives what can be had and throws at the end, `collect` gives outcomes.
    /// Throws:  (next) what failed first, by index, or what the input threw, after the results before it.
    /// Cancel:  destroying the stream, or cancelling its next(), withdraws what waits and stops what runs.
    /// Cost:    of map, and a lock for each item. Small items want an in_flight of some hundred or more.
    template <class F, std::ranges::input_range Inputs>
    [[nodiscard]] auto imap(F&& f, Inputs&& inputs, call_options options = {})
    {
        return start_stream<true, false>(options, f, std::views::all(std::forward<Inputs>(inputs)));
    }
    template <class F, std::ranges::input_range Inputs>
    [[nodiscard]] auto imap(F&& f, Inputs&& inputs, collect_options options)
    {
        return start_stream<true, true>(options, f, std::views::all(std::forward<Inputs>(inputs)));
    }
    template <class F, std::ranges::input_range Inputs>
    [[nodiscard]] auto imap_unordered(F&& f, Inputs&& inputs, call_options options = {})
    {
        return start_stream<false, false>(options, f, std::views::all(std::forward<Inputs>(inputs)));
    }
    template <class F, std::ranges::input_range Inputs>
    [[nodiscard]] auto imap_unordered(F&& f, Inputs&& inputs, collect_options options)
    {
        return start_stream<false, true>(options, f, std::views::all(std::forward<Inputs>(inputs)));
    }

    /// The same for the items of a stream, so that stages chain: pool.imap(parse, pool.imap(read, files)). It is read by a
    /// coroutine on the loop of the first next(), where the stream must be destroyed too.
    template <class F, class T>
    [[nodiscard]] auto imap(F&& f, stream<T> inputs, call_options options = {})
    {
        return start_fed<true, false>(options, f, std::move(inputs));
    }
    template <class F, class T>
    [[nodiscard]] auto imap(F&& f, stream<T> inputs, collect_options options)
    {
        return start_fed<true, true>(options, f, std::move(inputs));
    }
    template <class F, class T>
    [[nodiscard]] auto imap_unordered(F&& f, stream<T> inputs, call_options options = {})
    {
        return start_fed<false, false>(options, f, std::move(inputs));
    }
    template <class F, class T>
    [[nodiscard]] auto imap_unordered(F&& f, stream<T> inputs, collect_options options)
    {
        return start_fed<false, true>(options, f, std::move(inputs));
    }

    /// Takes no more tasks, waits until all are done and all workers have ended in an orderly way.
    /// Throws what the first finalizer threw. A worker that does not end gets SIGTERM, then SIGKILL (pool_options::grace).
    /// Cancel: the pool stays closed; terminate or the destructor stop the workers.
    [[nodiscard]] task<> close();
    /// The same, but calls of which no task has begun throw cancelled_error at once, when this is awaited; others go on to
    /// their end.
    [[nodiscard]] task<> close(cancel_pending_t);

    /// Stops all workers now (SIGKILL); tasks that are not done throw cancelled_error. The pool is closed afterwards.
    void terminate();

private:
    static pool_options with_workers(int workers);
    const std::shared_ptr<detail::pool_state>& state() const;

    template <class R, class Job>
    static auto finish(std::shared_ptr<detail::pool_state> state, std::shared_ptr<Job> job) -> task<decltype(job->take())>
    {
        auto end = detail::finish_job(std::move(state), job); // named: see "known traps" in the design page
        co_await std::move(end);
        co_return job->take();
    }
    template <class R, bool Spread, bool Collect = false, class F, class View>
    auto start_map(const call_options& options, const F& f, View view)
    {
        return finish<R>(state(), std::make_shared<detail::map_job<R, std::decay_t<F>, View, Spread, Collect>>(options, f, std::move(view)));
    }
    template <class F, class Element, bool Collect, class View, std::size_t... I>
    auto start_starmap(const call_options& options, const F& f, View view, std::index_sequence<I...>)
    {
        using result = detail::call_result_t<F, decltype(std::get<I>(std::declval<Element>()))...>;
        return start_map<result, true, Collect>(options, f, std::move(view));
    }

    template <bool Ordered, bool Collect, class F, class View>
    auto start_stream(const call_options& options, const F& f, View view)
    {
        using result = detail::call_result_t<F, std::ranges::range_reference_t<View>>;
        using job = detail::stream_job<result, detail::range_job<std::decay_t<F>, View, false>, Ordered, Collect>;
        return open<job>(std::make_shared<job>(options, f, std::move(view)));
    }
    template <class Job>
    auto open(std::shared_ptr<Job> work)
    {
        auto source = std::make_unique<detail::pool_source<Job>>(state(), work);
        detail::submit_stream(state(), std::move(work));
        return stream<typename Job::item>{std::move(source)};
    }

    template <bool Ordered, bool Collect, class F, class T>
    auto start_fed(const call_options& options, const F& f, stream<T> inputs)
    {
        using result = detail::call_result_t<F, T>;
        using job = detail::stream_job<result, detail::fed_job<std::decay_t<F>, T>, Ordered, Collect>;
        auto work = std::make_shared<job>(options, f);
        auto source = std::make_unique<detail::fed_source<job, T>>(state(), work, std::move(inputs));
        detail::submit_stream(state(), std::move(work));
        return stream<typename job::item>{std::move(source)};
    }

    std::shared_ptr<detail::pool_state> state_;
};

} // namespace coproc
