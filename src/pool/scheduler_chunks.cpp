// Chunks: from the moment they are taken from the input until they ended.
#include "pool/scheduler.hpp"

#include <algorithm>
#include <utility>

namespace coproc::detail {

chunk_id scheduler::took(job_id job, worker_id worker, std::size_t count, bool more)
{
    auto& state = jobs_[job];
    state.more = more;
    state.starved = more && count == 0;
    chunk_id chunk = 0;
    if (count > 0) {
        chunk = chunks_.insert({{job, state.taken, count}, 0, state.rules.concurrent, state.rules.endless});
        state.taken += count;
        send(chunk, state, worker);
    }
    check_done(job, state);
    return chunk;
}

void scheduler::send(chunk_id chunk, job_state& job, worker_id worker)
{
    auto& state = at(chunk);
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
            turns_[job->second.rules.concurrent].push_front(id, job->second.rules.priority, job->second.rules.places);
        return;
    }
    forget(chunk, id);
}

// The worker that it was at, if that is still there.
scheduler::worker_state* scheduler::leave(chunk_id chunk)
{
    auto& state = at(chunk);
    auto worker = workers_.find(state.worker);
    if (worker != workers_.end()) {
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
    return worker != workers_.end() ? &worker->second : nullptr;
}

void scheduler::finished(chunk_id chunk, std::uint64_t nanoseconds)
{
    auto* found = chunks_.find(chunk);
    if (!found || found->worker == 0)
        return;
    auto place = found->place;
    failures_ = 0;
    if (auto* worker = leave(chunk)) {
        worker->proven = true;
        worker->last_used = ++uses_;
    }
    chunks_.erase(chunk);
    if (auto job = jobs_.find(place.job); job != jobs_.end()) {
        // The first elements pay for cold caches and for looking the function up, so what is cheaper counts at once.
        double each = static_cast<double>(nanoseconds) / static_cast<double>(std::max<std::size_t>(place.count, 1));
        double& known = job->second.cost;
        known = known < 0 || each < known ? each : (3 * known + each) / 4;
        check_done(place.job, job->second);
    }
}

void scheduler::failed(chunk_id chunk, std::size_t index)
{
    auto* found = chunks_.find(chunk);
    if (!found)
        return;
    auto id = found->place.job;
    if (auto* worker = leave(chunk)) {
        worker->proven = true;
        worker->last_used = ++uses_;
    }
    chunks_.erase(chunk);
    auto job = jobs_.find(id);
    if (job == jobs_.end())
        return;
    job->second.more = false;
    job->second.failed_at = std::min(job->second.failed_at, index);
    drop_after(id, job->second.failed_at);
    check_done(id, job->second);
}

void scheduler::settled(chunk_id chunk)
{
    auto* found = chunks_.find(chunk);
    if (!found)
        return;
    auto job = found->place.job;
    if (auto* worker = leave(chunk))
        worker->proven = true;
    chunks_.erase(chunk);
    if (auto still = jobs_.find(job); still != jobs_.end())
        check_done(job, still->second);
}

void scheduler::retry(chunk_id chunk)
{
    auto* found = chunks_.find(chunk);
    if (!found)
        return;
    if (auto* worker = leave(chunk))
        worker->proven = true;
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
    if (auto still = jobs_.find(job); still != jobs_.end())
        check_done(job, still->second);
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
    check_done(id, job->second);
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

} // namespace coproc::detail
