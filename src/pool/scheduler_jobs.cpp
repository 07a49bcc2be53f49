// Jobs: what they have to send, and how much of it at a time.
#include "pool/scheduler.hpp"

#include <algorithm>
#include <utility>

namespace coproc::detail {
namespace {

// In nanoseconds, measured on two cores; see the design page.
constexpr double target = 1'000'000;  // a chunk: messages cost one percent of it
constexpr double smallest = 20'000;   // not worth a message of its own
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
    check_done(job, state);
}

// How many more elements may be taken now.
std::size_t scheduler::room_ahead(const job_state& job) const
{
    return job.rules.ahead == SIZE_MAX ? SIZE_MAX : job.rules.ahead - (job.taken - std::min(job.consumed, job.taken));
}

// The largest chunk of a job that is consumed one by one: each worker should have several.
std::size_t scheduler::step(const job_state& job) const { return std::max<std::size_t>(job.rules.ahead / (shares * options_.workers), 1); }

std::size_t scheduler::wanted(const job_state& job) const
{
    std::size_t count = job.rules.chunk_size;
    if (count == 0) {
        if (job.cost < 0)
            count = 1;
        else {
            double each = std::max(job.cost, 0.1);
            auto workers = job.rules.places.empty() ? options_.workers : job.rules.places.size();
            count = static_cast<std::size_t>(target / each);
            if (job.rules.size != SIZE_MAX)
                count = std::min(count, (job.rules.size - job.taken) / (shares * workers) + 1);
            count = std::max({count, static_cast<std::size_t>(smallest / each), std::size_t{1}});
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
    turns_[state.rules.concurrent].push_back(job, state.rules.priority, state.rules.places);
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
    check_done(job, found->second);
}

void scheduler::input_failed(job_id job)
{
    auto& state = jobs_[job];
    state.more = false;
    check_done(job, state);
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

// A job ends when its input has and nothing is under way that could still matter: after a failure, what comes after it
// doesn't.
void scheduler::check_done(job_id job, job_state& state)
{
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

std::size_t scheduler::taken(job_id job) const
{
    auto found = jobs_.find(job);
    return found == jobs_.end() ? 0 : found->second.taken;
}

} // namespace coproc::detail
