// Workers: what becomes of them.
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

void scheduler::worker_came_up(worker_id worker)
{
    if (auto found = workers_.find(worker); found != workers_.end() && !std::exchange(found->second.up, true))
        start_failed_ = false;
}

// A job that can only run where nobody is would wait for ever.
void scheduler::start_failed()
{
    start_failed_ = true;
    if (std::ranges::any_of(workers_, [](auto& w) { return !w.second.up; }))
        return;
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
