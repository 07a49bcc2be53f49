// Which chunk goes to which worker, and when: a machine without I/O.
//
// Events go in by the member functions; `next` says what to do, one action at a time, until it has none. Some actions are
// questions (take: how many elements were there? withdraw: was it in time?); they are answered before `next` is called
// again. Time is only seen as the cost of chunks that workers report.
//
//     job     a call: elements that come from an input of known or unknown length
//     chunk   some consecutive elements of one job, from the moment they are taken from the input until they ended
//     worker  has chunks in flight, in order: the first runs, the others wait in its pipe
//
// It is one class in four files: what to do next, jobs, workers, chunks.
//
// Rules
//   - Jobs take turns, those of the highest priority among each other; one that is bound to workers which have no room
//     holds up nobody else. Within a job, chunks that came back (from a dead or
//     a slow worker) go before new ones. What waits in a worker's pipe makes room for what has a higher priority. A job
//     whose results are consumed one by one is read only so far ahead of them.
//   - Each worker has two chunks in flight, and more while what waits in its pipe is worth less than `window` of work:
//     waking a worker costs 60 µs where it has a core of its own, so it should not run dry between two messages.
//   - Concurrent jobs (coroutines, if workers run several at a time) have room of their own at a worker: as many chunks as
//     run at a time there, and two that wait. Plain ones beside them are neither held up nor counted by it, and priorities
//     hold among jobs of one kind.
//   - A chunk of an endless job (a generator) may wait for its caller: nothing is sent to a worker behind as many of them as
//     run at a time there.
//   - Unless the caller set the size, chunks of concurrent jobs have one element. Others begin with one; once the cost is known
//     they are worth `target`, but not more than a share of what remains, so that all workers end at about the same time,
//     nor less than `smallest`.
//   - A worker with nothing to do takes a chunk that waits in another one's pipe, if it is worth a wake-up.
//   - Each worker has a place, a number below `workers`; its replacement gets the same one. Workers in the places below
//     `min_workers` are always there; another one is started when a task would have to wait behind one that runs, or is
//     bound to its place. Workers beyond may leave when they please; those beyond `workers`, when that was lowered, are
//     stopped when they have ended what they run.
//   - Workers that die before they came to a task are replaced, but only so often in a row.
//   - A worker whose task was asked to stop may have to be killed: it is given nothing until that task has ended, and what
//     waits in its pipe goes elsewhere. A task whose job has ended, or has failed before it, is asked to stop.
#pragma once

#include "pool/job_turns.hpp"
#include "pool/recent_map.hpp"
#include "pool/slot_map.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

namespace coproc::detail {

using chunk_id = std::uint64_t;
using worker_id = std::uint64_t;

struct scheduler_options {
    std::size_t workers = 1;
    std::size_t min_workers = SIZE_MAX;   ///< that are there without work, too; as many as `workers` at most
    std::size_t max_tasks_per_worker = 0; ///< 0: without limit
    std::size_t max_in_flight = 1000;     ///< chunks for each worker, beyond what it runs and two for each kind of job
    std::size_t concurrency = 1;          ///< chunks of concurrent jobs that a worker runs at a time
    std::size_t max_failures = 3;         ///< deaths in a row that cost no task
};

enum class act {
    take,         ///< make a chunk of up to `most` elements of `job` for `worker`; answer with took or input_failed
    send_again,   ///< send the chunk to `worker`
    withdraw,     ///< take the chunk back from `worker` if it has not begun; answer with withdrawn
    stop_task,    ///< ask the chunk, if `worker` still runs it, to end, and see to it that it does
    drop,         ///< forget the chunk: it will not be sent again
    finish_job,   ///< the job has ended
    fail_job,     ///< no worker that it is bound to can be started: cancel it
    start_worker, ///< in `place`; answer with worker_started or start_failed
    stop_worker,  ///< let it, which was in `place`, end in an orderly way
    give_up       ///< workers die without coming to a task, or none can be started: fail everything
};

struct job_rules {
    std::size_t size = SIZE_MAX;  ///< the number of elements, if known
    std::size_t chunk_size = 0;   ///< in elements; 0 adapts
    int priority = 0;             ///< higher goes first
    std::size_t ahead = SIZE_MAX; ///< elements that may be taken from the input and not be consumed yet
    bool concurrent = false;      ///< a worker runs several of its chunks at a time
    std::vector<std::size_t> places{}; ///< of the workers that may run it, ascending; empty: all
    bool endless = false;         ///< its chunks may not end before something else does
};

struct action {
    act what;
    worker_id worker = 0;
    job_id job = 0;
    chunk_id chunk = 0;
    std::size_t most = 0;
    std::size_t place = 0;
};

struct chunk_place {
    job_id job = 0;
    std::size_t first = 0; ///< index of its first element in the job's input
    std::size_t count = 0;
};

class scheduler {
public:
    explicit scheduler(const scheduler_options& options) : options_{options}, places_(options.workers) {}

    // What callers do.
    /// An empty job ends at once.
    void add_job(job_id job, const job_rules& rules);
    /// So many of its elements, in all, count no more for `ahead`. True if there is something to do now.
    bool consumed(job_id job, std::size_t elements);
    /// The input that had nothing for the moment has something, or has ended.
    void input_ready(job_id job);
    /// The job ends now: what waits is dropped, the results of what runs are not for anybody.
    void cancel_job(job_id job);
    /// No job comes any more; workers are stopped when none is left.
    void close() { closing_ = true; }
    /// From now on there are so many places. No job may be bound to those beyond alone.
    void resize(std::size_t workers);
    [[nodiscard]] bool bound_beyond(std::size_t workers) const;
    /// Every worker is replaced when it has ended what it runs.
    void recycle();

    // What workers do.
    void worker_started(worker_id worker, std::size_t place);
    /// A worker that was started runs now.
    void worker_came_up(worker_id worker);
    /// None could be started. Others that are being started hold descriptors that will be free soon: it is tried again when
    /// one of them has come up. Else, with no worker left, or before all were there once, the pool gives up.
    void start_failed();
    /// The chunk's results have come; it took so many nanoseconds.
    void finished(chunk_id chunk, std::uint64_t nanoseconds);
    /// The chunk failed at element `index` of its job: the job takes no more input, and ends when all before it ended.
    void failed(chunk_id chunk, std::size_t index);
    /// The chunk ended without results, and its job goes on all the same.
    void settled(chunk_id chunk);
    /// The chunk ended without results and will be sent once more, when `again` is called.
    void retry(chunk_id chunk);
    void again(chunk_id chunk);
    /// What the chunk, which runs, will give is not wanted: it is asked to stop, and retried or settled when it has ended.
    void stop(chunk_id chunk);
    /// The same, and its job doesn't wait for its end: it fails at `index`, or goes on (SIZE_MAX).
    void abandon(chunk_id chunk, std::size_t index);
    /// The worker begins nothing more, and is to be replaced.
    void retire(worker_id worker);
    /// The worker has had nothing to do and ends: it begins nothing more.
    void left(worker_id worker);
    /// The worker is gone; `running` of its chunks was begun and not ended, if any (that one has failed too; call failed
    /// before). `orderly`: it was told to.
    void worker_ended(worker_id worker, bool orderly, bool cost_a_task);

    // Answers.
    /// The chunk that was taken; `count` may be 0. `more`: the input may have further elements; none now and more later is
    /// an input that is asked again after input_ready.
    chunk_id took(job_id job, worker_id worker, std::size_t count, bool more);
    void input_failed(job_id job);
    void withdrawn(chunk_id chunk, bool in_time);

    [[nodiscard]] std::optional<action> next();
    /// Only what needs no worker to be started, stopped or given work.
    [[nodiscard]] std::optional<action> next_decision();

    [[nodiscard]] chunk_place place(chunk_id chunk) const;
    /// Whether anybody still waits for its results: its job has neither ended nor failed before it.
    [[nodiscard]] bool wanted(chunk_id chunk) const;
    /// The chunks of a worker, in the order they were sent.
    [[nodiscard]] std::vector<chunk_id> in_flight(worker_id worker) const;
    /// More than one: results may gather.
    [[nodiscard]] bool has_several(worker_id worker) const;
    /// Elements taken from the job's input so far.
    [[nodiscard]] std::size_t taken(job_id job) const;
    /// Some worker runs a task that was asked to stop.
    [[nodiscard]] bool waits_for_end() const;
    /// Of workers.
    [[nodiscard]] std::size_t places() const noexcept { return options_.workers; }
    [[nodiscard]] std::size_t jobs() const noexcept { return jobs_.size(); }
    [[nodiscard]] std::size_t workers() const noexcept { return workers_.size(); }
    [[nodiscard]] bool closed() const noexcept { return closing_ && jobs_.empty() && workers_.empty(); }

private:
    static constexpr double window = 300'000; ///< ns: five wake-ups' worth of work in a worker's pipe

    struct job_state {
        job_rules rules;
        std::size_t taken = 0, consumed = 0; ///< elements
        bool more = true;                    ///< the input may have more
        bool starved = false;                ///< but not now
        bool lined_up = false;               ///< in turns_
        std::size_t failed_at = SIZE_MAX;
        double cost = -1;            ///< nanoseconds for an element; -1: not known yet
        std::vector<chunk_id> again;   ///< to be sent again, last first
        std::vector<chunk_id> delayed; ///< to be sent again later
        std::size_t out = 0;           ///< chunks at workers
    };
    struct chunk_state {
        chunk_place place;
        worker_id worker = 0; ///< 0: not at a worker
        bool concurrent = false, endless = false;
        bool begun = false;   ///< known to be out of reach
        bool stopped = false; ///< asked to end
        double cost = 0;      ///< of all of it, as estimated when it was sent
    };
    struct share {
        std::size_t count = 0;
        double load = 0; ///< estimated cost of these
    };
    struct worker_state {
        std::deque<chunk_id> in_flight;
        share of[2]; ///< chunks of plain and of concurrent jobs
        std::size_t assigned = 0;
        std::size_t ending = 0; ///< its chunks that were asked to stop
        std::size_t place = 0;
        std::size_t endless = 0; ///< its chunks that may not end
        bool up = false, stopping = false, proven = false, retired = false;
        std::uint64_t last_used = 0;
    };

    chunk_state& at(chunk_id chunk) { return *chunks_.find(chunk); }
    const chunk_state& at(chunk_id chunk) const { return *chunks_.find(chunk); }
    bool used_up(const worker_state& worker) const;
    bool has_room(const worker_state& worker, bool concurrent) const;
    bool must_wait(const worker_state& worker, bool concurrent) const;
    std::size_t room_ahead(const job_state& job) const;
    std::size_t step(const job_state& job) const;
    std::size_t wanted(const job_state& job) const;
    bool has_work(const job_state& job) const;
    bool line_up(job_id job);
    void forget(chunk_id chunk, job_id job);
    void take_back(worker_id worker);
    struct choice {
        worker_id id = 0;
        worker_state* worker = nullptr; ///< null: there is none, or a better one is to be started
        std::optional<std::size_t> start; ///< in this place
    };
    choice pick(const std::vector<std::size_t>& places, bool concurrent);
    choice choose(const std::vector<std::size_t>& places, bool concurrent);
    std::optional<std::size_t> free_place(const std::vector<std::size_t>& places) const;
    void vacate(worker_id id, const worker_state& worker);
    bool may_start() const;
    std::size_t least() const noexcept { return options_.min_workers < options_.workers ? options_.min_workers : options_.workers; }
    bool may_run(job_id job, const worker_state& worker) const;
    job_state* first_of(std::deque<job_turn>& jobs);
    std::optional<action> give(job_queue& queue, job_state& state, const choice& to);
    std::optional<action> make_room(const job_queue& queue, int priority, bool concurrent);
    std::size_t chunk_for(const job_state& job, const worker_state& worker) const;
    worker_state* leave(chunk_id chunk);
    void send(chunk_id chunk, job_state& job, worker_id worker);
    [[nodiscard]] std::vector<chunk_id> out(job_id job) const;
    void check_done(job_id job, job_state& state);
    void drop_after(job_id job, std::size_t index);
    std::optional<action> start_or_stop();
    std::optional<action> assign(bool concurrent);
    std::optional<action> overtake(bool concurrent);
    std::optional<action> even_out();

    scheduler_options options_;
    recent_map<job_id, job_state> jobs_;
    job_turns turns_[2]; ///< of jobs that may have something to send, plain and concurrent ones
    slot_map<chunk_state> chunks_;
    recent_map<worker_id, worker_state> workers_;
    std::vector<worker_id> places_; ///< who is there and is not told to stop; 0: nobody
    std::size_t staying_ = 0;       ///< workers in places that are not beyond, as counted last
    std::deque<action> decided_;
    std::uint64_t uses_ = 0;
    std::size_t failures_ = 0;
    bool closing_ = false, complete_ = false, start_failed_ = false, gave_up_ = false, broken_ = false;
};

} // namespace coproc::detail
