// What is to be done next.
#include "pool/scheduler.hpp"

#include <algorithm>

namespace coproc::detail {
namespace {

constexpr double worth_moving = 100'000; // ns, measured on two cores; see the design page

} // namespace

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
