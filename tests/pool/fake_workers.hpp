// The world around a scheduler, without processes: it obeys every action, checks it, and keeps its own account of what may
// happen. A test makes things happen by name; scheduler_random_test.cpp makes them happen by chance.
#pragma once

#include <catch2/catch.hpp>

#include "pool/scheduler.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

// As REQUIRE, but what holds costs next to nothing: a life makes tens of thousands of these, which was nearly all of its time.
#define HOLDS(...)                                                                                                     \
    do {                                                                                                               \
        if (!(__VA_ARGS__))                                                                                            \
            FAIL(#__VA_ARGS__);                                                                                        \
    } while (false)

namespace pool_test {

using namespace coproc::detail;

class fake_workers {
public:
    struct fake_job {
        std::size_t size = SIZE_MAX; ///< what the scheduler is told
        std::size_t length = 0;      ///< how many elements there are
        std::size_t given = 0;
        std::size_t breaks_at = SIZE_MAX; ///< the input throws here
        std::size_t ahead = SIZE_MAX, consumed = 0;
        int priority = 0;
        bool hesitates = false, starved = false; ///< the input has nothing when it is asked first, and says when it has
        std::size_t failed_at = SIZE_MAX;
        bool concurrent = false, endless = false;
        std::vector<std::size_t> places; ///< of the workers that may run it; empty: all
        bool cancelled = false, input_failed = false, ended = false;
        std::vector<int> ends; ///< for each element, how often it ended
    };
    struct fake_chunk {
        job_id job = 0;
        std::size_t first = 0, count = 0;
        worker_id worker = 0;
        bool begun = false;
        bool stopped = false;   ///< asked to end
        bool abandoned = false; ///< its end is of no interest any more
        bool delayed = false;   ///< it will be tried again
    };
    struct fake_worker {
        std::deque<chunk_id> pipe;
        std::size_t begun_elements = 0;
        std::size_t place = 0;
        bool up = false, stopping = false;
    };

    explicit fake_workers(scheduler_options options) : machine{options}, options_{options} {}

    scheduler machine;
    std::map<job_id, fake_job> jobs;
    std::map<chunk_id, fake_chunk> chunks;
    std::map<worker_id, fake_worker> workers;
    std::vector<action> log;
    int starts_that_work = 0, starts_that_fail = 0; ///< the next ones
    bool slow_starts = false; ///< workers come up when they are told to, or when they begin
    bool gave_up = false;
    std::size_t largest_take = 0;

    /// `size`: SIZE_MAX for an input of unknown length.
    job_id add(std::size_t length, std::size_t chunk_size = 0, bool known = true, std::size_t breaks_at = SIZE_MAX,
               std::size_t ahead = SIZE_MAX, int priority = 0, bool concurrent = false, std::vector<std::size_t> places = {},
               bool endless = false)
    {
        auto id = ++last_job_;
        auto& job = jobs[id];
        job.length = length;
        job.size = known ? length : SIZE_MAX;
        job.breaks_at = breaks_at;
        job.ends.resize(length);
        job.ahead = ahead;
        job.priority = priority;
        job.concurrent = concurrent && options_.concurrency > 1;
        job.places = places;
        job.endless = endless;
        machine.add_job(id, {.size = job.size,
                             .chunk_size = chunk_size,
                             .priority = priority,
                             .ahead = ahead,
                             .concurrent = job.concurrent,
                             .places = places,
                             .endless = endless});
        return id;
    }
    void consume(job_id id, std::size_t elements)
    {
        jobs.at(id).consumed = elements;
        machine.consumed(id, elements);
    }
    void feed(job_id id)
    {
        jobs.at(id).hesitates = jobs.at(id).starved = false;
        machine.input_ready(id);
    }
    void cancel(job_id id)
    {
        if (!jobs.at(id).ended)
            jobs.at(id).cancelled = true;
        machine.cancel_job(id);
    }

    /// The worker claims what is first in its pipe. False if it can't: it runs a plain chunk, or as many others as it may.
    bool begin(worker_id id)
    {
        auto& worker = workers.at(id);
        if (worker.stopping)
            return false;
        come_up(id);
        auto next = std::ranges::find_if(worker.pipe, [&](auto c) { return !chunks.at(c).begun; });
        if (next == worker.pipe.end() || static_cast<std::size_t>(next - worker.pipe.begin()) >= options_.concurrency)
            return false;
        if (next != worker.pipe.begin() && !is_concurrent(*std::prev(next)))
            return false;
        auto& chunk = chunks.at(*next);
        chunk.begun = true;
        worker.begun_elements += chunk.count;
        if (options_.max_tasks_per_worker != 0)
            HOLDS(worker.begun_elements <= options_.max_tasks_per_worker);
        return true;
    }
    [[nodiscard]] bool runs(worker_id id) const
    {
        auto& pipe = workers.at(id).pipe;
        return !pipe.empty() && chunks.at(pipe.front()).begun;
    }
    /// What the worker runs (of several, one that `which` decides) ends well.
    void finish(worker_id id, std::uint64_t nanoseconds, std::size_t which = 0)
    {
        auto chunk = take_running(id, which);
        end(chunk);
        machine.finished(chunk, nanoseconds);
    }
    /// What the worker runs fails, and its job goes on.
    void settle(worker_id id)
    {
        auto chunk = take_running(id);
        end(chunk);
        machine.settled(chunk);
    }
    /// What the worker runs fails, and will be tried again.
    void retry(worker_id id)
    {
        auto chunk = take_running(id);
        auto& state = chunks.at(chunk);
        if (state.abandoned)
            return lose(chunk, 0);
        state.worker = 0;
        state.begun = state.stopped = false;
        state.delayed = true;
        machine.retry(chunk);
    }
    void again(chunk_id chunk)
    {
        chunks.at(chunk).delayed = false;
        machine.again(chunk);
    }
    /// What the worker runs is not wanted.
    void stop(worker_id id) { machine.stop(workers.at(id).pipe.front()); }
    /// The same; its job fails there, or goes on.
    void abandon(worker_id id, bool fails)
    {
        auto chunk = workers.at(id).pipe.front();
        auto& state = chunks.at(chunk);
        auto& job = jobs.at(state.job);
        if (std::exchange(state.abandoned, true) || machine.place(chunk).job == 0)
            return;
        if (fails)
            job.failed_at = std::min(job.failed_at, state.first);
        else
            for (auto i = state.first; i < state.first + state.count; ++i)
                ++job.ends[i];
        machine.abandon(chunk, fails ? state.first : SIZE_MAX);
    }
    /// What the worker runs throws at its element `at`.
    void fail(worker_id id, std::size_t at, std::size_t which = 0)
    {
        auto chunk = take_running(id, which);
        lose(chunk, at);
    }
    /// The worker dies; the chunks that it runs, if any, fail at their element `at`.
    void come_up(worker_id id)
    {
        if (!std::exchange(workers.at(id).up, true))
            machine.worker_came_up(id);
    }

    void die(worker_id id, std::size_t at = 0)
    {
        bool ran = runs(id), orderly = workers.at(id).stopping;
        while (runs(id))
            lose(take_running(id), at);
        for (auto chunk : workers.at(id).pipe) {
            chunks.at(chunk).worker = 0;
            chunks.at(chunk).begun = false;
        }
        workers.erase(id);
        machine.worker_ended(id, orderly, ran);
    }

    /// The worker, which runs nothing, ends by itself. False if it may not.
    bool leave(worker_id id)
    {
        auto& worker = workers.at(id);
        if (worker.stopping || runs(id) || worker.place < std::min(options_.min_workers, options_.workers))
            return false;
        worker.stopping = true;
        machine.left(id);
        return true;
    }
    /// False if a job is bound to workers beyond.
    bool resize(std::size_t size)
    {
        if (machine.bound_beyond(size))
            return false;
        options_.workers = size;
        machine.resize(size);
        return true;
    }
    /// Those that are there to stay.
    [[nodiscard]] std::size_t staying() const
    {
        return static_cast<std::size_t>(std::ranges::count_if(workers, [](auto& w) { return !w.second.stopping; }));
    }
    [[nodiscard]] std::vector<worker_id> at_place(std::size_t place) const
    {
        std::vector<worker_id> result;
        for (auto& [id, worker] : workers)
            if (worker.place == place && !worker.stopping)
                result.push_back(id);
        return result;
    }

    /// Does what the machine says until it has no more to say.
    void obey()
    {
        for (int steps = 0; auto a = machine.next(); ++steps) {
            HOLDS(steps < 100'000); // it comes to rest
            log.push_back(*a);
            obey(*a);
        }
        for (auto& [id, chunk] : chunks) // nothing runs for nobody without being told
            if (chunk.worker != 0 && chunk.begun && jobs.at(chunk.job).ended)
                HOLDS(chunk.stopped);
    }

    /// Everything goes well from now on, until nothing is under way.
    void run_dry()
    {
        int rounds = 0;
        for (obey(); !at_rest(); obey()) {
            HOLDS(++rounds < 100'000); // nothing is stuck
            for (auto& [id, job] : jobs)
                if (!job.ended) {
                    feed(id);
                    consume(id, job.given);
                }
            for (auto& [id, chunk] : chunks)
                if (chunk.delayed)
                    again(id);
            for (auto& id : ids()) {
                come_up(id);
                if (workers.at(id).stopping)
                    die(id);
                else if (begin(id); runs(id))
                    finish(id, 1000);
            }
        }
    }
    [[nodiscard]] bool at_rest() const
    {
        return std::ranges::all_of(workers, [](auto& w) { return w.second.up && w.second.pipe.empty() && !w.second.stopping; })
               && std::ranges::none_of(chunks, [](auto& c) { return c.second.delayed; })
               && std::ranges::all_of(jobs, [](auto& j) { return j.second.ended || (!j.second.starved && j.second.given - j.second.consumed < j.second.ahead); });
    }

    /// All jobs have ended as they should, and the machine remembers nothing.
    void check_end() const
    {
        for (auto& [id, job] : jobs) {
            INFO("job " << id);
            CHECK(job.ended);
            CHECK(machine.taken(id) == 0);
            CHECK(std::ranges::all_of(job.ends, [](int n) { return n <= 1; }));
            if (gave_up || job.cancelled || job.failed_at != SIZE_MAX)
                continue; // check_finished has seen to what must have ended
            CHECK((job.input_failed || job.given == job.length));
            CHECK(std::all_of(job.ends.begin(), job.ends.begin() + static_cast<std::ptrdiff_t>(job.given), [](int n) { return n == 1; }));
        }
        CHECK(machine.jobs() == 0);
        CHECK(std::ranges::all_of(seen_, [&](chunk_id id) { return machine.place(id).count == 0; }));
        CHECK(chunks.empty());
    }

    [[nodiscard]] std::vector<worker_id> ids() const
    {
        std::vector<worker_id> result;
        for (auto& [id, worker] : workers)
            result.push_back(id);
        return result;
    }
    [[nodiscard]] std::size_t count(act what) const
    {
        return static_cast<std::size_t>(std::ranges::count(log, what, &action::what));
    }

private:
    void end(chunk_id chunk)
    {
        auto& state = chunks.at(chunk);
        for (auto i = state.first; i < state.first + state.count && !state.abandoned; ++i)
            ++jobs.at(state.job).ends[i];
        chunks.erase(chunk);
    }
    [[nodiscard]] bool is_concurrent(chunk_id chunk) const { return jobs.at(chunks.at(chunk).job).concurrent; }
    chunk_id take_running(worker_id id, std::size_t which = 0)
    {
        HOLDS(runs(id));
        auto& pipe = workers.at(id).pipe;
        auto running = static_cast<std::size_t>(std::ranges::count_if(pipe, [&](auto c) { return chunks.at(c).begun; }));
        bool plain = !is_concurrent(pipe[running - 1]); // then the others wait for it
        auto chunk = pipe.begin() + static_cast<std::ptrdiff_t>(plain ? running - 1 : which % running);
        auto taken = *chunk;
        pipe.erase(chunk);
        return taken;
    }
    void lose(chunk_id chunk, std::size_t at)
    {
        auto place = chunks.at(chunk);
        auto index = place.first + std::min(at, place.count - 1);
        auto& job = jobs.at(place.job);
        if (!job.ended && !place.abandoned)
            job.failed_at = std::min(job.failed_at, index);
        chunks.erase(chunk);
        machine.failed(chunk, index);
    }

    void send(chunk_id chunk, worker_id to)
    {
        HOLDS(workers.contains(to));
        HOLDS(!workers.at(to).stopping);
        if (auto& places = jobs.at(chunks.at(chunk).job).places; !places.empty())
            HOLDS(std::ranges::count(places, workers.at(to).place) == 1);
        HOLDS(chunks.at(chunk).worker == 0); // at one worker at a time
        HOLDS(!chunks.at(chunk).delayed);
        for (auto other : workers.at(to).pipe) // whose worker may be killed for it
            HOLDS(!chunks.at(other).stopped);
        auto endless = std::ranges::count_if(workers.at(to).pipe, [&](auto other) { return jobs.at(chunks.at(other).job).endless; });
        HOLDS(static_cast<std::size_t>(endless) < options_.concurrency); // it may have to wait for them
        chunks.at(chunk).worker = to;
        chunks.at(chunk).begun = false;
        workers.at(to).pipe.push_back(chunk);
        HOLDS(workers.at(to).pipe.size() <= options_.max_in_flight + (options_.concurrency > 1 ? options_.concurrency + 4 : 0));
        auto seen = machine.in_flight(to);
        HOLDS(std::ranges::equal(seen, workers.at(to).pipe));
    }

    void obey(const action& a)
    {
        switch (a.what) {
        case act::take: return take(a);
        case act::send_again:
            HOLDS(!jobs.at(chunks.at(a.chunk).job).ended);
            return send(a.chunk, a.worker);
        case act::withdraw: {
            auto found = chunks.find(a.chunk);
            bool in_time = workers.contains(a.worker) && found != chunks.end() && found->second.worker == a.worker && !found->second.begun;
            if (in_time) {
                std::erase(workers.at(a.worker).pipe, a.chunk);
                found->second.worker = 0;
            }
            return machine.withdrawn(a.chunk, in_time);
        }
        case act::stop_task: {
            auto found = chunks.find(a.chunk);
            if (found == chunks.end() || found->second.worker != a.worker)
                return; // it has ended since
            auto& chunk = found->second;
            HOLDS(chunk.begun);
            HOLDS(!chunk.stopped);
            chunk.stopped = true;
            return;
        }
        case act::drop:
            HOLDS(chunks.at(a.chunk).worker == 0);
            chunks.erase(a.chunk);
            return;
        case act::fail_job: // as the pool does
            for (auto place : jobs.at(a.job).places)
                HOLDS(at_place(place).empty());
            return cancel(a.job);
        case act::finish_job: return check_finished(jobs.at(a.job));
        case act::start_worker:
            HOLDS(a.place < options_.workers);
            HOLDS(at_place(a.place).empty());
            if (starts_that_work > 0)
                --starts_that_work;
            else if (starts_that_fail > 0) {
                --starts_that_fail;
                return machine.start_failed();
            }
            workers[++last_worker_].place = a.place;
            machine.worker_started(last_worker_, a.place);
            if (!slow_starts)
                come_up(last_worker_);
            return;
        case act::stop_worker:
            HOLDS(!workers.at(a.worker).stopping);
            for (auto chunk : workers.at(a.worker).pipe) { // what it still runs was cancelled
                HOLDS(chunks.at(chunk).begun);
                HOLDS(jobs.at(chunks.at(chunk).job).ended);
            }
            workers.at(a.worker).stopping = true;
            return;
        case act::give_up: // as the pool does
            HOLDS(!gave_up);
            gave_up = true;
            for (auto& [id, job] : jobs)
                if (!job.ended)
                    cancel(id);
            machine.close();
        }
    }

    void take(const action& a)
    {
        auto& job = jobs.at(a.job);
        HOLDS(!job.ended);
        HOLDS(a.most > 0);
        HOLDS(!job.starved);
        HOLDS(a.most <= job.ahead - (job.given - std::min(job.consumed, job.given)));
        for (auto& [id, other] : jobs)
            if (other.priority > job.priority && other.places.empty() && other.concurrent == job.concurrent && other.ahead == SIZE_MAX && other.size != SIZE_MAX && !other.ended && !other.cancelled && !other.input_failed && other.failed_at == SIZE_MAX)
                HOLDS((other.given == other.length || other.starved));
        if (job.hesitates) {
            job.starved = true;
            return static_cast<void>(machine.took(a.job, a.worker, 0, true));
        }
        largest_take = std::max(largest_take, a.most);
        auto count = std::min({a.most, job.length - job.given, job.breaks_at - job.given});
        if (job.given + count == job.breaks_at && count < a.most) { // what was read before the error is not sent
            job.input_failed = true;
            return machine.input_failed(a.job);
        }
        bool more = job.size != SIZE_MAX ? job.given + count < job.size && count > 0 : count == a.most;
        auto first = job.given;
        job.given += count;
        auto chunk = machine.took(a.job, a.worker, count, more);
        HOLDS((chunk != 0) == (count != 0));
        if (chunk == 0)
            return;
        HOLDS(seen_.insert(chunk).second); // no number comes again
        auto place = machine.place(chunk);
        HOLDS(place.first == first);
        HOLDS(place.count == count);
        chunks[chunk] = {a.job, first, count};
        send(chunk, a.worker);
    }

    // A job has ended exactly once, and not before what counts had ended.
    void check_finished(fake_job& job)
    {
        HOLDS(!job.ended);
        job.ended = true;
        if (gave_up || job.cancelled)
            return;
        auto until = job.failed_at != SIZE_MAX ? job.failed_at : job.given;
        for (auto& [id, chunk] : chunks)
            if (&jobs.at(chunk.job) == &job && !chunk.abandoned)
                HOLDS(chunk.first >= until);
        if (job.failed_at == SIZE_MAX && !job.input_failed)
            HOLDS(job.given == job.length);
    }

    scheduler_options options_;
    job_id last_job_ = 0;
    std::set<chunk_id> seen_;
    worker_id last_worker_ = 0;
};

} // namespace pool_test
