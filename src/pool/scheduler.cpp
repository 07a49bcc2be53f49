#include "pool/scheduler.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace coproc::detail {
namespace {

// All in nanoseconds, measured on two cores; see the design page.
constexpr double window = 300'000;    // five wake-ups' worth of work in a worker's pipe
constexpr double target = 1'000'000;  // a chunk: messages cost one percent of it
constexpr double least = 20'000;      // not worth a message of its own
constexpr double worth_moving = 100'000;
constexpr std::size_t shares = 4;     // for each worker of what remains

} // namespace

void scheduler::add_job(job_id job, const job_rules& rules)
{
    auto& state = jobs_[job];
    state.rules = rules;
    if (rules.concurrent && rules.chunk_size == 0)
        state.rules.chunk_size = 1;
    state.more = rules.size != 0;
    start_failed_ = false; // a new reason to try
    line_up(job);
    check_done(job);
}

// How many more elements may be taken now.
std::size_t scheduler::room_ahead(const job_state& job) const
{
    return job.rules.ahead == SIZE_MAX ? SIZE_MAX : job.rules.ahead - (job.taken - std::min(job.consumed, job.taken));
}

// The largest chunk of a job that is consumed one by one: each worker should have several.
std::size_t scheduler::step(const job_state& job) const { return std::max<std::size_t>(job.rules.ahead / (shares * options_.workers), 1); }

// Room for less than a whole chunk is left to grow, or each element that is consumed would be a message; unless there is
// nothing else to wait for.
bool scheduler::has_work(const job_state& job) const
{
    if (!job.again.empty())
        return true;
    if (!job.more || job.starved)
        return false;
    auto room = room_ahead(job);
    return room >= wanted(job) || (room > 0 && job.out == 0 && job.delayed.empty());
}

// A job that is found without work when its turn comes leaves the line, so whatever gives it work puts it there again.
bool scheduler::line_up(job_id job)
{
    auto& state = jobs_[job];
    if (!has_work(state) || std::exchange(state.lined_up, true))
        return false;
    turns_[state.rules.concurrent][state.rules.priority].push_back(job);
    return true;
}

bool scheduler::consumed(job_id job, std::size_t elements)
{
    auto found = jobs_.find(job);
    if (found == jobs_.end())
        return false;
    found->second.consumed = elements;
    return line_up(job);
}

void scheduler::input_ready(job_id job)
{
    auto found = jobs_.find(job);
    if (found == jobs_.end())
        return;
    found->second.starved = false;
    line_up(job);
}

void scheduler::cancel_job(job_id job)
{
    auto found = jobs_.find(job);
    if (found == jobs_.end())
        return;
    found->second.more = false;
    found->second.failed_at = 0;
    drop_after(job, 0);
    check_done(job);
}

void scheduler::worker_started(worker_id worker)
{
    --starting_;
    start_failed_ = false;
    workers_[worker];
}

void scheduler::start_failed()
{
    --starting_;
    start_failed_ = true;
    if (workers_.empty() || !complete_)
        gave_up_ = true;
}

void scheduler::leave(chunk_id chunk)
{
    auto& state = at(chunk);
    if (auto worker = workers_.find(state.worker); worker != workers_.end()) {
        auto& kind = worker->second.of[state.concurrent];
        --kind.count;
        kind.load -= state.cost;
        auto& all = worker->second.in_flight;
        if (!all.empty() && all.front() == chunk)
            all.pop_front();
        else
            std::erase(all, chunk);
        if (kind.count == 0)
            kind.load = 0; // no drift by rounding
        worker->second.ending -= state.stopped;
        worker->second.endless -= state.endless;
    }
    state.worker = 0;
    state.begun = state.stopped = false;
    if (auto job = jobs_.find(state.place.job); job != jobs_.end() && --job->second.out == 0)
        line_up(job->first);
}

void scheduler::finished(chunk_id chunk, std::uint64_t nanoseconds)
{
    auto* found = chunks_.find(chunk);
    if (!found || found->worker == 0)
        return;
    auto place = found->place;
    auto& worker = workers_[found->worker];
    worker.proven = true;
    worker.last_used = ++uses_;
    failures_ = 0;
    leave(chunk);
    chunks_.erase(chunk);
    if (auto job = jobs_.find(place.job); job != jobs_.end()) {
        // The first elements pay for cold caches and for looking the function up, so what is cheaper counts at once.
        double each = static_cast<double>(nanoseconds) / static_cast<double>(std::max<std::size_t>(place.count, 1));
        double& known = job->second.cost;
        known = known < 0 || each < known ? each : (3 * known + each) / 4;
        check_done(place.job);
    }
}

void scheduler::failed(chunk_id chunk, std::size_t index)
{
    auto* found = chunks_.find(chunk);
    if (!found)
        return;
    auto id = found->place.job;
    if (auto worker = workers_.find(found->worker); worker != workers_.end()) {
        worker->second.proven = true;
        worker->second.last_used = ++uses_;
    }
    leave(chunk);
    chunks_.erase(chunk);
    auto job = jobs_.find(id);
    if (job == jobs_.end())
        return;
    job->second.more = false;
    job->second.failed_at = std::min(job->second.failed_at, index);
    drop_after(id, job->second.failed_at);
    check_done(id);
}

void scheduler::settled(chunk_id chunk)
{
    auto* found = chunks_.find(chunk);
    if (!found)
        return;
    auto job = found->place.job;
    if (auto worker = workers_.find(found->worker); worker != workers_.end())
        worker->second.proven = true;
    leave(chunk);
    chunks_.erase(chunk);
    if (jobs_.contains(job))
        check_done(job);
}

void scheduler::retry(chunk_id chunk)
{
    auto* found = chunks_.find(chunk);
    if (!found)
        return;
    if (auto worker = workers_.find(found->worker); worker != workers_.end())
        worker->second.proven = true;
    leave(chunk);
    auto job = jobs_.find(found->place.job);
    if (job != jobs_.end() && found->place.first < job->second.failed_at)
        job->second.delayed.push_back(chunk);
    else
        forget(chunk, found->place.job);
}

void scheduler::again(chunk_id chunk)
{
    auto* found = chunks_.find(chunk);
    if (!found)
        return;
    auto job = jobs_.find(found->place.job);
    if (job == jobs_.end() || std::erase(job->second.delayed, chunk) == 0)
        return;
    job->second.again.push_back(chunk);
    line_up(job->first);
}

void scheduler::forget(chunk_id chunk, job_id job)
{
    chunks_.erase(chunk);
    decided_.push_back({act::drop, 0, job, chunk});
    if (jobs_.contains(job))
        check_done(job);
}

void scheduler::stop(chunk_id chunk)
{
    auto* found = chunks_.find(chunk);
    if (!found || found->worker == 0 || std::exchange(found->stopped, true))
        return;
    found->begun = true;
    auto& worker = workers_[found->worker];
    ++worker.ending;
    decided_.push_back({act::stop_task, found->worker, found->place.job, chunk});
    take_back(found->worker);
}

// What waits in its pipe goes elsewhere.
void scheduler::take_back(worker_id worker)
{
    for (chunk_id chunk : workers_[worker].in_flight)
        if (!at(chunk).begun)
            decided_.push_back({act::withdraw, worker, at(chunk).place.job, chunk});
}

void scheduler::retire(worker_id worker)
{
    if (auto found = workers_.find(worker); found != workers_.end() && !std::exchange(found->second.retired, true))
        take_back(worker);
}

void scheduler::abandon(chunk_id chunk, std::size_t index)
{
    auto* found = chunks_.find(chunk);
    if (!found || found->worker == 0)
        return;
    auto id = std::exchange(found->place.job, 0);
    stop(chunk);
    auto job = jobs_.find(id);
    if (job == jobs_.end())
        return;
    if (--job->second.out == 0)
        line_up(id);
    if (index != SIZE_MAX) {
        job->second.more = false;
        job->second.failed_at = std::min(job->second.failed_at, index);
        drop_after(id, job->second.failed_at);
    }
    check_done(id);
}

// What waits here is forgotten; what waits in a worker's pipe is asked back, and what runs is asked to stop.
void scheduler::drop_after(job_id job, std::size_t index)
{
    auto& state = jobs_[job];
    for (auto* waiting : {&state.again, &state.delayed})
        std::erase_if(*waiting, [&](chunk_id chunk) {
            if (at(chunk).place.first < index)
                return false;
            chunks_.erase(chunk);
            decided_.push_back({act::drop, 0, job, chunk});
            return true;
        });
    for (chunk_id chunk : out(job))
        if (at(chunk).place.first < index)
            continue;
        else if (at(chunk).begun)
            stop(chunk);
        else
            decided_.push_back({act::withdraw, at(chunk).worker, job, chunk});
}

std::vector<chunk_id> scheduler::out(job_id job) const
{
    std::vector<chunk_id> result;
    for (auto& [id, worker] : workers_)
        for (chunk_id chunk : worker.in_flight)
            if (at(chunk).place.job == job)
                result.push_back(chunk);
    return result;
}

void scheduler::input_failed(job_id job)
{
    auto& state = jobs_[job];
    state.more = false;
    check_done(job);
}

// A job ends when its input has and nothing is under way that could still matter: after a failure, what comes after it
// doesn't.
void scheduler::check_done(job_id job)
{
    auto& state = jobs_[job];
    if (state.more || !state.again.empty() || !state.delayed.empty() || (state.failed_at == SIZE_MAX && state.out != 0))
        return;
    if (state.out != 0) {
        auto left = out(job);
        if (std::ranges::any_of(left, [&](chunk_id chunk) { return at(chunk).place.first < state.failed_at; }))
            return;
        for (chunk_id chunk : left) {
            at(chunk).place.job = 0;
            if (at(chunk).begun)
                stop(chunk);
        }
    }
    jobs_.erase(job);
    decided_.push_back({act::finish_job, 0, job});
}

chunk_id scheduler::took(job_id job, worker_id worker, std::size_t count, bool more)
{
    auto& state = jobs_[job];
    state.more = more;
    state.starved = more && count == 0;
    chunk_id chunk = 0;
    if (count > 0) {
        chunk = chunks_.insert({{job, state.taken, count}, 0, state.rules.concurrent, state.rules.endless});
        state.taken += count;
        send(chunk, worker);
    }
    check_done(job);
    return chunk;
}

void scheduler::send(chunk_id chunk, worker_id worker)
{
    auto& state = at(chunk);
    auto& job = jobs_[state.place.job];
    auto& to = workers_[worker];
    state.worker = worker;
    state.cost = job.cost < 0 ? window : job.cost * static_cast<double>(state.place.count);
    to.in_flight.push_back(chunk);
    to.endless += state.endless;
    ++to.of[state.concurrent].count;
    to.of[state.concurrent].load += state.cost;
    to.assigned += state.place.count;
    ++job.out;
}

void scheduler::withdrawn(chunk_id chunk, bool in_time)
{
    auto* found = chunks_.find(chunk);
    if (!found || found->worker == 0)
        return; // it was asked back twice
    if (!in_time) {
        found->begun = true;
        if (!wanted(chunk))
            stop(chunk);
        return;
    }
    auto [id, first, count] = found->place;
    if (auto worker = workers_.find(found->worker); worker != workers_.end())
        worker->second.assigned -= count;
    leave(chunk);
    auto job = jobs_.find(id);
    if (job != jobs_.end() && first < job->second.failed_at) {
        job->second.again.push_back(chunk);
        if (!std::exchange(job->second.lined_up, true)) // it has had its turn
            turns_[job->second.rules.concurrent][job->second.rules.priority].push_front(id);
        return;
    }
    forget(chunk, id);
}

void scheduler::worker_ended(worker_id worker, bool orderly, bool cost_a_task)
{
    auto found = workers_.find(worker);
    if (found == workers_.end())
        return;
    if (cost_a_task || found->second.proven)
        failures_ = 0;
    else if (!orderly && ++failures_ > options_.max_failures)
        gave_up_ = true;
    auto lost = found->second.in_flight;
    // Back to where they came from; the earliest element is sent first.
    for (auto chunk = lost.rbegin(); chunk != lost.rend(); ++chunk)
        withdrawn(*chunk, true);
    workers_.erase(worker);
    start_failed_ = false; // what it held may be what was missing
}

bool scheduler::has_room(const worker_state& worker, bool concurrent) const
{
    if (worker.stopping || worker.retired || worker.ending > 0 || worker.endless >= options_.concurrency || (options_.max_tasks_per_worker != 0 && worker.assigned >= options_.max_tasks_per_worker))
        return false;
    auto& kind = worker.of[concurrent];
    return kind.count < (concurrent ? options_.concurrency + 2 : 2) || (kind.load < window && worker.in_flight.size() < options_.max_in_flight);
}

// The worker with the fewest chunks; of several that have none, the one whose caches are warmest.
scheduler::worker_state* scheduler::pick(worker_id& id, bool concurrent)
{
    worker_state* best = nullptr;
    for (auto& [candidate, worker] : workers_) {
        if (!has_room(worker, concurrent))
            continue;
        if (!best || worker.in_flight.size() < best->in_flight.size()
            || (worker.in_flight.size() == best->in_flight.size() && worker.last_used > best->last_used)) {
            best = &worker;
            id = candidate;
        }
    }
    return best;
}

std::size_t scheduler::wanted(const job_state& job) const
{
    std::size_t count = job.rules.chunk_size;
    if (count == 0) {
        if (job.cost < 0)
            count = 1;
        else {
            double each = std::max(job.cost, 0.1);
            count = static_cast<std::size_t>(target / each);
            if (job.rules.size != SIZE_MAX)
                count = std::min(count, (job.rules.size - job.taken) / (shares * options_.workers) + 1);
            count = std::max({count, static_cast<std::size_t>(least / each), std::size_t{1}});
        }
    }
    return job.rules.ahead == SIZE_MAX ? count : std::min(count, step(job));
}

std::size_t scheduler::chunk_for(const job_state& job, const worker_state& worker) const
{
    std::size_t count = std::min(wanted(job), room_ahead(job));
    if (options_.max_tasks_per_worker != 0)
        count = std::min(count, options_.max_tasks_per_worker - worker.assigned);
    return count;
}

std::optional<action> scheduler::assign(bool concurrent)
{
    auto& lines = turns_[concurrent];
    for (auto line = lines.begin(); line != lines.end(); line = lines.erase(line))
        while (!line->second.empty()) {
            job_id job = line->second.front();
            auto found = jobs_.find(job);
            if (found == jobs_.end() || !has_work(found->second)) {
                line->second.pop_front();
                if (found != jobs_.end())
                    found->second.lined_up = false;
                continue;
            }
            worker_id id = 0;
            worker_state* worker = pick(id, concurrent);
            if (!worker)
                return std::nullopt;
            line->second.pop_front();
            line->second.push_back(job);
            auto& state = found->second;
            if (state.again.empty())
                return action{act::take, id, job, 0, chunk_for(state, *worker)};
            chunk_id chunk = state.again.back();
            if (options_.max_tasks_per_worker != 0 && worker->assigned + at(chunk).place.count > options_.max_tasks_per_worker) {
                worker->assigned = options_.max_tasks_per_worker; // it can't take what is next: it is replaced by one that can
                if (auto a = start_or_stop())
                    return a;
                continue;
            }
            state.again.pop_back();
            send(chunk, id);
            return action{act::send_again, id, job, chunk};
        }
    return std::nullopt;
}

std::optional<action> scheduler::even_out()
{
    bool idle = std::ranges::any_of(workers_, [&](auto& w) { return w.second.in_flight.empty() && has_room(w.second, false); });
    if (!idle)
        return std::nullopt;
    auto load = [](const worker_state& w) { return w.of[0].load + w.of[1].load; };
    worker_state* most = nullptr;
    for (auto& [id, worker] : workers_)
        if (worker.in_flight.size() > 1 && (!most || load(worker) > load(*most)) && !at(worker.in_flight.back()).begun
            && at(worker.in_flight.back()).cost >= worth_moving)
            most = &worker;
    if (!most)
        return std::nullopt;
    chunk_id chunk = most->in_flight.back();
    return action{act::withdraw, at(chunk).worker, at(chunk).place.job, chunk};
}

// All workers are full: what waits in a pipe makes room for what waits here, if that has a higher priority.
std::optional<action> scheduler::overtake(bool concurrent)
{
    auto& lines = turns_[concurrent];
    auto first = std::ranges::find_if(lines, [&](auto& turns) {
        return std::ranges::any_of(turns.second, [&](job_id job) {
            auto found = jobs_.find(job);
            return found != jobs_.end() && has_work(found->second);
        });
    });
    if (first == lines.end())
        return std::nullopt;
    std::optional<action> result;
    int lowest = first->first;
    for (auto& [id, worker] : workers_) {
        if (worker.in_flight.size() < 2 || worker.stopping)
            continue;
        auto& last = at(worker.in_flight.back());
        auto job = jobs_.find(last.place.job);
        if (last.begun || last.concurrent != concurrent || job == jobs_.end() || job->second.rules.priority >= lowest)
            continue;
        lowest = job->second.rules.priority;
        result = action{act::withdraw, id, job->first, worker.in_flight.back()};
    }
    return result;
}

std::optional<action> scheduler::start_or_stop()
{
    bool leaving = closing_ && jobs_.empty();
    std::size_t staying = starting_;
    for (auto& [id, worker] : workers_) {
        bool used_up = worker.retired || (options_.max_tasks_per_worker != 0 && worker.assigned >= options_.max_tasks_per_worker);
        // What still runs when all jobs have ended was cancelled: nobody waits for it.
        if (!worker.stopping && (leaving || (used_up && worker.in_flight.empty()))) {
            worker.stopping = true;
            return action{act::stop_worker, id};
        }
        staying += !worker.stopping;
    }
    complete_ = complete_ || (staying >= options_.workers && starting_ == 0);
    if (!leaving && !broken_ && !start_failed_ && staying < options_.workers) {
        ++starting_;
        return action{act::start_worker};
    }
    return std::nullopt;
}

std::optional<action> scheduler::next_decision()
{
    if (decided_.empty())
        return std::nullopt;
    auto first = decided_.front();
    decided_.pop_front();
    return first;
}

std::optional<action> scheduler::next()
{
    if (auto a = next_decision())
        return a;
    if (gave_up_ && !broken_) {
        broken_ = true;
        return action{act::give_up};
    }
    if (auto a = start_or_stop())
        return a;
    for (bool concurrent : {false, true})
        if (auto a = assign(concurrent))
            return a;
    for (bool concurrent : {false, true})
        if (auto a = overtake(concurrent))
            return a;
    return even_out();
}

chunk_place scheduler::place(chunk_id chunk) const
{
    auto* found = chunks_.find(chunk);
    return found ? found->place : chunk_place{};
}

bool scheduler::wanted(chunk_id chunk) const
{
    auto [id, first, count] = place(chunk);
    auto job = jobs_.find(id);
    return job != jobs_.end() && first < job->second.failed_at;
}

bool scheduler::has_several(worker_id worker) const
{
    auto found = workers_.find(worker);
    return found != workers_.end() && found->second.in_flight.size() > 1;
}

bool scheduler::waits_for_end() const
{
    return std::ranges::any_of(workers_, [](auto& w) { return w.second.ending > 0; });
}

std::size_t scheduler::taken(job_id job) const
{
    auto found = jobs_.find(job);
    return found == jobs_.end() ? 0 : found->second.taken;
}

std::vector<chunk_id> scheduler::in_flight(worker_id worker) const
{
    auto found = workers_.find(worker);
    if (found == workers_.end())
        return {};
    return {found->second.in_flight.begin(), found->second.in_flight.end()};
}

} // namespace coproc::detail
