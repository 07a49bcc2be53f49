// Whose turn it is among jobs.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <vector>

namespace coproc::detail {

using job_id = std::uint64_t;

struct job_turn {
    std::int64_t ticket = 0; ///< lower goes first
    job_id job = 0;
};

/// Jobs that the same workers may run, in line. One queue for each set of workers, so that those that wait for a certain
/// worker are passed over at once, however many they are.
struct job_queue {
    std::vector<std::size_t> places; ///< of these workers; empty: all
    std::deque<job_turn> jobs;
};

/// Lines of jobs, by priority, the highest first. Among equals, whoever has had a turn goes to the end, in whichever queue.
class job_turns {
public:
    using line = std::vector<job_queue>;
    using lines = std::map<int, line, std::greater<>>;

    void push_back(job_id job, int priority, const std::vector<std::size_t>& places)
    {
        queue(priority, places).jobs.push_back({++last_, job});
    }
    /// It goes before all others of its priority.
    void push_front(job_id job, int priority, const std::vector<std::size_t>& places)
    {
        queue(priority, places).jobs.push_front({--first_, job});
    }
    /// The first of the queue has had its turn.
    void rotate(job_queue& queue)
    {
        auto job = queue.jobs.front().job;
        queue.jobs.pop_front();
        queue.jobs.push_back({++last_, job});
    }

    lines all;

private:
    job_queue& queue(int priority, const std::vector<std::size_t>& places)
    {
        auto& in = all[priority];
        auto found = std::ranges::find(in, places, &job_queue::places);
        if (found != in.end())
            return *found;
        in.emplace_back().places = places;
        return in.back();
    }

    std::int64_t first_ = 0, last_ = 0;
};

} // namespace coproc::detail
