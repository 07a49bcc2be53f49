// Workers: how many there are, and which of them has room.
#include "pool/scheduler.hpp"

#include <algorithm>
#include <utility>

namespace coproc::detail {

void scheduler::worker_started(worker_id worker, std::size_t place)
{
    start_failed_ = false;
    workers_[worker].place = place;
    places_[place] = worker;
}

// A job that can only run where nobody is would wait for ever.
void scheduler::start_failed()
{
    start_failed_ = true;
    if (workers_.empty() || !complete_)
        gave_up_ = true;
    else
        for (auto& [id, job] : jobs_)
            if (!job.rules.places.empty() && std::ranges::all_of(job.rules.places, [&](auto p) { return p >= places_.size() || places_[p] == 0; }))
                decided_.push_back({act::fail_job, 0, id});
}

void scheduler::resize(std::size_t workers)
{
    options_.workers = workers;
    places_.resize(std::max(places_.size(), workers));
    start_failed_ = false;
    for (auto& [id, worker] : workers_)
        if (worker.place >= workers)
            take_back(id);
}

bool scheduler::bound_beyond(std::size_t workers) const
{
    return std::ranges::any_of(jobs_, [&](auto& job) {
        auto& places = job.second.rules.places;
        return !places.empty() && places.front() >= workers;
    });
}

void scheduler::recycle()
{
    for (auto& [id, worker] : workers_)
        retire(id);
}

void scheduler::left(worker_id worker)
{
    auto found = workers_.find(worker);
    if (found == workers_.end() || found->second.stopping)
        return;
    take_back(worker);
    vacate(worker, found->second);
    found->second.stopping = true;
}

void scheduler::vacate(worker_id id, const worker_state& worker)
{
    if (places_[worker.place] == id)
        places_[worker.place] = 0;
}

void scheduler::retire(worker_id worker)
{
    if (auto found = workers_.find(worker); found != workers_.end() && !std::exchange(found->second.retired, true))
        take_back(worker);
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
    vacate(worker, found->second);
    workers_.erase(found);
    start_failed_ = false; // what it held may be what was missing
}

// It takes nothing more, and is stopped when it runs nothing.
bool scheduler::used_up(const worker_state& worker) const
{
    return worker.retired || worker.place >= options_.workers
           || (options_.max_tasks_per_worker != 0 && worker.assigned >= options_.max_tasks_per_worker);
}

bool scheduler::has_room(const worker_state& worker, bool concurrent) const
{
    if (worker.stopping || worker.ending > 0 || used_up(worker))
        return false;
    auto& kind = worker.of[concurrent];
    return kind.count < (concurrent ? options_.concurrency + 2 : 2) || (kind.load < window && worker.in_flight.size() < options_.max_in_flight);
}

// What is sent there waits until something has ended.
bool scheduler::must_wait(const worker_state& worker, bool concurrent) const
{
    return concurrent ? worker.of[0].count > 0 || worker.of[1].count >= options_.concurrency : !worker.in_flight.empty();
}

bool scheduler::may_run(job_id job, const worker_state& worker) const
{
    auto found = jobs_.find(job);
    return found == jobs_.end() || found->second.rules.places.empty() || std::ranges::binary_search(found->second.rules.places, worker.place);
}

// The worker with the fewest chunks; of several that have none, the one whose caches are warmest.
scheduler::choice scheduler::pick(const std::vector<std::size_t>& places, bool concurrent)
{
    choice best;
    for (auto& [id, worker] : workers_) {
        if (!has_room(worker, concurrent) || (!places.empty() && !std::ranges::binary_search(places, worker.place)))
            continue;
        if (!best.worker || worker.in_flight.size() < best.worker->in_flight.size()
            || (worker.in_flight.size() == best.worker->in_flight.size() && worker.last_used > best.worker->last_used)) {
            best.worker = &worker;
            best.id = id;
        }
    }
    return best;
}

// Such a worker, or a new one if its task would have to wait.
scheduler::choice scheduler::choose(const std::vector<std::size_t>& places, bool concurrent)
{
    auto best = pick(places, concurrent);
    if ((!best.worker || must_wait(*best.worker, concurrent)) && staying_ < options_.workers && may_start())
        best.start = free_place(places);
    return best;
}

std::optional<std::size_t> scheduler::free_place(const std::vector<std::size_t>& places) const
{
    for (std::size_t place = 0; place < options_.workers; ++place)
        if (places_[place] == 0 && (places.empty() || std::ranges::binary_search(places, place)))
            return place;
    return std::nullopt;
}

bool scheduler::may_start() const { return !broken_ && !start_failed_ && !(closing_ && jobs_.empty()); }

std::optional<action> scheduler::start_or_stop()
{
    bool leaving = closing_ && jobs_.empty();
    std::size_t kept = 0;
    staying_ = 0;
    for (auto& [id, worker] : workers_) {
        if (worker.stopping)
            continue;
        // What still runs when all jobs have ended was cancelled: nobody waits for it.
        if (leaving || (used_up(worker) && worker.in_flight.empty())) {
            worker.stopping = true;
            vacate(id, worker);
            return action{act::stop_worker, id, 0, 0, 0, worker.place};
        }
        staying_ += worker.place < options_.workers;
        kept += worker.place < always();
    }
    complete_ = complete_ || kept >= always();
    if (kept < always() && may_start())
        return action{act::start_worker, 0, 0, 0, 0, *free_place({})};
    return std::nullopt;
}

// What waits in its pipe goes elsewhere.
void scheduler::take_back(worker_id worker)
{
    for (chunk_id chunk : workers_[worker].in_flight)
        if (!at(chunk).begun)
            decided_.push_back({act::withdraw, worker, at(chunk).place.job, chunk});
}

std::vector<chunk_id> scheduler::in_flight(worker_id worker) const
{
    auto found = workers_.find(worker);
    if (found == workers_.end())
        return {};
    return {found->second.in_flight.begin(), found->second.in_flight.end()};
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

} // namespace coproc::detail
