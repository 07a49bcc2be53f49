// What is to be done next.
#include "pool/scheduler.hpp"

#include <algorithm>

namespace coproc::detail {
namespace {

constexpr double worth_moving = 100'000; // ns, measured on two cores; see the design page

} // namespace

// Jobs at the front that have no work leave the line; false if nobody is left.
bool scheduler::has_turn(std::deque<job_turn>& jobs)
{
    for (; !jobs.empty(); jobs.pop_front()) {
        auto found = jobs_.find(jobs.front().job);
        if (found != jobs_.end() && has_work(found->second))
            return true;
        if (found != jobs_.end())
            found->second.lined_up = false;
    }
    return false;
}

// The highest priority first; in it, the job that has waited longest of those that find room.
std::optional<action> scheduler::assign(bool concurrent)
{
    auto& lines = turns_[concurrent].all;
    for (auto line = lines.begin(); line != lines.end();) {
        job_queue* first = nullptr;
        choice to;
        bool any = false;
        for (auto& queue : line->second) {
            if (!has_turn(queue.jobs))
                continue;
            any = true;
            if (first && first->jobs.front().ticket < queue.jobs.front().ticket)
                continue;
            auto chosen = choose(queue.places, concurrent);
            if (chosen.worker || chosen.start) {
                first = &queue;
                to = chosen;
            } else if (queue.places.empty())
                return std::nullopt; // nobody has room for anything
        }
        if (!any)
            line = lines.erase(line);
        else if (!first)
            ++line;
        else if (to.start)
            return action{act::start_worker, 0, 0, 0, 0, *to.start};
        else if (auto a = give(*first, to))
            return a;
    }
    return std::nullopt;
}

std::optional<action> scheduler::give(job_queue& queue, const choice& to)
{
    job_id job = queue.jobs.front().job;
    auto& state = jobs_[job];
    turns_[state.rules.concurrent].rotate(queue);
    if (state.again.empty())
        return action{act::take, to.id, job, 0, chunk_for(state, *to.worker)};
    chunk_id chunk = state.again.back();
    if (options_.max_tasks_per_worker != 0 && to.worker->assigned + at(chunk).place.count > options_.max_tasks_per_worker) {
        to.worker->assigned = options_.max_tasks_per_worker; // it can't take what is next: it is replaced by one that can
        return start_or_stop();
    }
    state.again.pop_back();
    send(chunk, to.id);
    return action{act::send_again, to.id, job, chunk};
}

std::optional<action> scheduler::even_out()
{
    auto load = [](const worker_state& w) { return w.of[0].load + w.of[1].load; };
    for (auto& [idle_id, idle] : workers_) {
        if (!idle.in_flight.empty() || !has_room(idle, false))
            continue;
        worker_state* most = nullptr;
        for (auto& [id, worker] : workers_) {
            if (worker.in_flight.size() < 2 || (most && load(worker) <= load(*most)))
                continue;
            auto& last = at(worker.in_flight.back());
            if (!last.begun && last.cost >= worth_moving && may_run(last.place.job, idle))
                most = &worker;
        }
        if (most) {
            chunk_id chunk = most->in_flight.back();
            return action{act::withdraw, at(chunk).worker, at(chunk).place.job, chunk};
        }
    }
    return std::nullopt;
}

// All workers are full: what waits in a pipe makes room for what waits here, if that has a higher priority.
std::optional<action> scheduler::overtake(bool concurrent)
{
    for (auto& [priority, line] : turns_[concurrent].all)
        for (auto& queue : line)
            if (has_turn(queue.jobs))
                if (auto a = make_room(queue, priority, concurrent))
                    return a;
    return std::nullopt;
}

std::optional<action> scheduler::make_room(const job_queue& queue, int priority, bool concurrent)
{
    std::optional<action> result;
    int lowest = priority;
    for (auto& [id, worker] : workers_) {
        if (worker.in_flight.size() < 2 || worker.stopping || !may_run(queue.jobs.front().job, worker))
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

} // namespace coproc::detail
