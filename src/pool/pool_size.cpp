// How many workers a pool has, which of them a call may have, and what there is to count.
#include "pool/pool_state.hpp"

#include <coproc/error.hpp>

#include <algorithm>

namespace coproc::detail {

void pool_state::resize(int workers)
{
    turn([&] {
        if (in_line_)
            throw usage_error{"there are no workers whose number could change"};
        if (workers < std::max(options_.min_workers.value_or(1), 1))
            throw usage_error{"a pool of at least " + std::to_string(std::max(options_.min_workers.value_or(1), 1)) + " can't have "
                              + std::to_string(workers) + " workers"};
        if (scheduler_.bound_beyond(static_cast<std::size_t>(workers)))
            throw usage_error{"calls that are bound to workers beyond the first " + std::to_string(workers) + " are not done"};
        options_.workers = size_ = workers;
        scheduler_.resize(static_cast<std::size_t>(workers));
    });
}

void pool_state::recycle()
{
    turn([&] { scheduler_.recycle(); });
}

// In ascending order, without those that there aren't now.
std::vector<std::size_t> pool_state::places_for(const job& work) const
{
    auto worker = work.options.worker;
    if (worker != -1 && (worker < 0 || worker >= options_.workers))
        throw usage_error{"there is no worker " + std::to_string(worker) + " among " + std::to_string(options_.workers)};
    if (worker != -1 && !work.tag.empty())
        throw usage_error{"a call is bound to one worker or to those with a tag, not to both"};
    if (worker != -1)
        return {static_cast<std::size_t>(worker)};
    if (work.tag.empty())
        return {};
    auto tag = std::ranges::find(options_.tags, work.tag, &worker_tag::name);
    if (tag == options_.tags.end())
        throw usage_error{"no worker has the tag " + work.tag};
    std::vector<std::size_t> places;
    for (int place : tag->places)
        if (place < options_.workers)
            places.push_back(static_cast<std::size_t>(place));
    if (places.empty())
        throw usage_error{"no worker has the tag " + work.tag + " now"};
    std::ranges::sort(places);
    places.erase(std::ranges::unique(places).begin(), places.end());
    return places;
}

pool_statistics pool_state::statistics()
{
    turn([&] {
        if (executor_ && !listening_)
            look_around(); // some may have ended that nobody waited for
    });
    std::scoped_lock lock{mutex_};
    return count();
}

pool_statistics pool_state::count() const
{
    auto result = counts_;
    for (auto& [id, worker] : workers_) {
        if (worker.link->on_its_way_out())
            continue;
        ++result.workers;
        ++(worker.link->starting() ? result.starting : scheduler_.in_flight(id).empty() ? result.idle : result.busy);
    }
    for (auto& [id, work] : jobs_)
        if (work->size != unknown_size)
            result.waiting += work->size - scheduler_.taken(id);
    for (auto& p : parcels_) {
        if (p.id == 0)
            continue;
        auto worker = workers_.find(p.at);
        bool runs = worker != workers_.end() && worker->second.link->begun(p.number);
        result.running += runs;
        if (scheduler_.wanted(p.id))
            result.waiting += p.count - runs;
    }
    return result;
}

std::optional<task_statistics> pool_state::usage_of(const job& work)
{
    std::scoped_lock lock{mutex_};
    return work.waiters && work.waiters->done ? work.usage : std::nullopt;
}

} // namespace coproc::detail
