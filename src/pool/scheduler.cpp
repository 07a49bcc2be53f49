// What is to be done next.
#include "pool/scheduler.hpp"

#include <algorithm>

namespace coproc::detail {
namespace {

constexpr double worth_moving = 100'000; // ns, measured on two cores; see the design page

// `places`: empty for all.
bool allows(const std::vector<std::size_t>& places, std::size_t place)
{
    return places.empty() || std::ranges::binary_search(places, place);
}

} // namespace

// It takes nothing more, and is stopped when it runs nothing.
bool scheduler::used_up(const worker_state& worker) const
{
    return worker.retired || worker.place >= options_.workers
           || (options_.max_tasks_per_worker != 0 && worker.assigned >= options_.max_tasks_per_worker);
}

bool scheduler::has_room(const worker_state& worker, bool concurrent) const
{
    if (worker.stopping || worker.ending > 0 || worker.endless >= options_.concurrency || used_up(worker))
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
    return found == jobs_.end() || allows(found->second.rules.places, worker.place);
}

// The worker with the fewest chunks; of several that have none, the one whose caches are warmest.
scheduler::choice scheduler::pick(const std::vector<std::size_t>& places, bool concurrent)
{
    choice best;
    for (auto& [id, worker] : workers_) {
        if (!has_room(worker, concurrent) || !allows(places, worker.place))
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
        if (places_[place] == 0 && allows(places, place))
            return place;
    return std::nullopt;
}

bool scheduler::may_start() const { return !broken_ && !start_failed_ && !(closing_ && jobs_.empty()); }

std::optional<action> scheduler::start_or_stop()
{
    bool leaving = closing_ && jobs_.empty();
    std::size_t kept = 0, always = least();
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
        kept += worker.place < always;
    }
    complete_ = complete_ || kept >= always;
    if (kept < always && may_start())
        return action{act::start_worker, 0, 0, 0, 0, *free_place({})};
    return std::nullopt;
}

// Jobs at the front that have no work leave the line; null if nobody is left.
scheduler::job_state* scheduler::first_of(std::deque<job_turn>& jobs)
{
    for (; !jobs.empty(); jobs.pop_front()) {
        auto found = jobs_.find(jobs.front().job);
        if (found != jobs_.end() && has_work(found->second))
            return &found->second;
        if (found != jobs_.end())
            found->second.lined_up = false;
    }
    return nullptr;
}

// The highest priority first; in it, the job that has waited longest of those that find room.
std::optional<action> scheduler::assign(bool concurrent)
{
    auto& lines = turns_[concurrent].all;
    for (auto line = lines.begin(); line != lines.end();) {
        job_queue* first = nullptr;
        job_state* job = nullptr;
        choice to;
        bool any = false;
        for (auto& queue : line->second) {
            auto* next = first_of(queue.jobs);
            if (!next)
                continue;
            any = true;
            if (first && first->jobs.front().ticket < queue.jobs.front().ticket)
                continue;
            auto chosen = choose(queue.places, concurrent);
            if (chosen.worker || chosen.start) {
                first = &queue;
                job = next;
                to = chosen;
            } else if (queue.places.empty())
                return std::nullopt; // nobody has room for anything
        }
        if (!any && lines.size() > 1)
            line = lines.erase(line);
        else if (!first)
            ++line;
        else if (to.start)
            return action{act::start_worker, 0, 0, 0, 0, *to.start};
        else if (auto a = give(*first, *job, to))
            return a;
    }
    return std::nullopt;
}

std::optional<action> scheduler::give(job_queue& queue, job_state& state, const choice& to)
{
    job_id job = queue.jobs.front().job;
    turns_[state.rules.concurrent].rotate(queue);
    if (state.again.empty())
        return action{act::take, to.id, job, 0, chunk_for(state, *to.worker)};
    chunk_id chunk = state.again.back();
    if (options_.max_tasks_per_worker != 0 && to.worker->assigned + at(chunk).place.count > options_.max_tasks_per_worker) {
        to.worker->assigned = options_.max_tasks_per_worker; // it can't take what is next: it is replaced by one that can
        return start_or_stop();
    }
    state.again.pop_back();
    send(chunk, state, to.id);
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
            if (first_of(queue.jobs))
                if (auto a = make_room(queue, priority, concurrent))
                    return a;
    return std::nullopt;
}

std::optional<action> scheduler::make_room(const job_queue& queue, int priority, bool concurrent)
{
    std::optional<action> result;
    int lowest = priority;
    for (auto& [id, worker] : workers_) {
        if (worker.in_flight.size() < 2 || worker.stopping || !allows(queue.places, worker.place))
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
