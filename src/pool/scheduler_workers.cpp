// Workers: how many there are, and which of them has room.
#include "pool/scheduler.hpp"

#include <algorithm>
#include <utility>

namespace coproc::detail {

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
    workers_.erase(worker);
    start_failed_ = false; // what it held may be what was missing
}

bool scheduler::has_room(const worker_state& worker, bool concurrent) const
{
    if (worker.stopping || worker.retired || worker.ending > 0 || (options_.max_tasks_per_worker != 0 && worker.assigned >= options_.max_tasks_per_worker))
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
