// The result of a task that was submitted to a pool and runs on its own.
#pragma once

#include <coproc/detail/job.hpp>
#include <coproc/error.hpp>
#include <coproc/task.hpp>

#include <chrono>
#include <memory>
#include <optional>

namespace coproc {

namespace detail {

class pool_state;
struct result_parts;
/// Submits the job unless it was, and completes when it has ended; throws its failure. Cancelling withdraws the job.
task<> finish_job(std::shared_ptr<pool_state> pool, std::shared_ptr<job> work);
task<bool> finish_job_within(std::shared_ptr<pool_state> pool, std::shared_ptr<job> work, std::chrono::nanoseconds time);
void submit_job(const std::shared_ptr<pool_state>& pool, std::shared_ptr<job> work);
bool job_is_done(pool_state& pool, const job& work);
bool cancel_job(pool_state& pool, job& work);
std::optional<task_statistics> usage_of_job(pool_state& pool, const job& work);

} // namespace detail

/// A handle of a submitted task, as std::future is of a thread's. Movable; dropping it lets the task run on.
/// Thread-safe but for get, which is called once.
template <class T>
class async_result {
public:
    async_result() noexcept = default;

    /// Completes when the task has ended, with its result or exception. Once: it moves the result out.
    /// Cancelling the wait withdraws the task.
    [[nodiscard]] task<T> get()
    {
        check();
        return wait(measured_ ? pool_ : std::move(pool_), std::exchange(job_, nullptr));
    }
    /// Whether the task has ended, in whatever way.
    [[nodiscard]] bool ready() const
    {
        check();
        return detail::job_is_done(*pool_, *job_);
    }
    /// Waits until it is ready, for at most `time`; says whether it is. The task goes on either way.
    [[nodiscard]] task<bool> wait_for(std::chrono::nanoseconds time) const
    {
        check();
        return detail::finish_job_within(pool_, job_, time);
    }
    /// Withdraws the task: get throws cancelled_error. False, and no effect, if it has ended already. One that runs is asked
    /// to stop, and stopped after pool_options::grace.
    bool cancel()
    {
        check();
        return detail::cancel_job(*pool_, *job_);
    }
    [[nodiscard]] bool valid() const noexcept { return job_ != nullptr; }
    /// What the task has cost, after it has ended, before and after get; of several tries, the last one. Nothing if
    /// call_options::measure did not ask for it, if its worker died, or with inline_workers.
    [[nodiscard]] std::optional<task_statistics> statistics() const
    {
        return measured_ ? detail::usage_of_job(*pool_, *measured_) : std::nullopt;
    }

private:
    friend class pool;
    friend struct detail::result_parts;
    async_result(std::shared_ptr<detail::pool_state> pool, std::shared_ptr<detail::single_job<T>> job) noexcept
        : pool_{std::move(pool)}, job_{std::move(job)}
    {
        if (job_->options.measure)
            measured_ = job_;
    }
    void check() const
    {
        if (!job_)
            throw usage_error{"this async_result is empty: its result was taken already, or it was moved away"};
    }
    static task<T> wait(std::shared_ptr<detail::pool_state> pool, std::shared_ptr<detail::single_job<T>> job)
    {
        auto end = detail::finish_job(std::move(pool), job); // named: see "known traps" in the design page
        co_await std::move(end);
        co_return job->take();
    }

    std::shared_ptr<detail::pool_state> pool_;
    std::shared_ptr<detail::single_job<T>> job_;
    std::shared_ptr<detail::job> measured_; ///< the job, if it is measured; get gives job_ away
};

} // namespace coproc
