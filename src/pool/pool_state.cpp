#include "pool/pool_state.hpp"

#include <coproc/detail/generator_job.hpp>
#include <coproc/error.hpp>

#include <asio/use_awaitable.hpp>

#include <algorithm>

namespace coproc::detail {
namespace {

scheduler_options scheduling(const pool_options& options)
{
    scheduler_options result;
    result.workers = static_cast<std::size_t>(std::max(options.workers, 1));
    if (options.min_workers)
        result.min_workers = static_cast<std::size_t>(*options.min_workers);
    result.max_tasks_per_worker = options.max_tasks_per_worker;
    result.concurrency = static_cast<std::size_t>(options.concurrency);
    return result;
}

} // namespace

pool_state::pool_state(pool_options options, bool in_line)
    : options_{std::move(options)}, in_line_{in_line}, size_{in_line ? 0 : options_.workers}, scheduler_{scheduling(options_)}
{
}

pool_state::~pool_state()
{
    drop_idle_bulk();
    if (readiness_)
        static_cast<void>(readiness_->release());
}

void pool_state::bind(const asio::any_io_executor& executor)
{
    if (in_line_)
        return;
    turn([&] {
        if (executor_)
            return;
        readiness_.emplace(executor, watched_.number());
        executor_ = executor;
        know(loop_of(executor));
        for (auto& [id, worker] : workers_)
            if (worker.link->on_its_way_out())
                be_patient(id, worker);
            else if (worker.link->starting())
                limit_startup(id);
        for (auto& p : parcels_)
            if (p.now == phase::delayed)
                start_clock(p, {});
            else if (p.at != 0 && p.now != phase::runs)
                start_clock(p, options_.grace);
            else if (p.at != 0 && p.of->options.timeout.count() > 0)
                start_clock(p, p.of->options.timeout);
        for (auto& [id, work] : jobs_)
            if (work->options.deadline.count() > 0)
                start_deadline(id, *work);
    });
}

// Under the lock.
void pool_state::know(asio::execution_context& loop)
{
    if (std::exchange(known_loop_, &loop) != &loop)
        asio::use_service<loop_users>(loop).add(weak_from_this());
}

void pool_state::forget_timers(job_waiters& of)
{
    of.deadline.reset();
    if (of.news)
        of.news->timer.reset();
}

void pool_state::unbind()
{
    static_cast<void>(readiness_->release());
    readiness_.reset();
    glance_.reset();
    glance_is_set_ = listening_ = false;
    for (auto& [id, worker] : workers_)
        worker.patience.reset();
    for (auto& p : parcels_)
        p.clock.reset();
    for (auto& [id, work] : jobs_)
        forget_timers(*work->waiters);
    executor_ = {};
}

void pool_state::loop_rests(asio::execution_context& loop)
{
    std::scoped_lock lock{mutex_};
    if (executor_ && &loop_of(executor_) == &loop)
        unbind();
}

void pool_state::loop_ends(asio::execution_context& loop)
{
    std::vector<std::unique_ptr<waiter>> waiting; // destroyed, with their coroutines, when the lock is released
    std::scoped_lock lock{mutex_};
    for (auto& [id, work] : jobs_)
        work->waiters->waiting.take(loop, waiting);
    closers_.take(loop, waiting);
    std::erase_if(to_wake_, [&](auto& w) {
        if (w.first->loop != &loop)
            return false;
        waiting.push_back(std::move(w.first));
        return true;
    });
    if (executor_ && &loop_of(executor_) == &loop)
        unbind();
    if (known_loop_ == &loop)
        known_loop_ = nullptr;
}

void pool_state::submit(const std::shared_ptr<job>& work)
{
    turn([&] {
        if (work->waiters)
            return;
        if (closing_) {
            if (failed_)
                std::rethrow_exception(reason_());
            throw usage_error{"the pool is closed: it takes no more tasks"};
        }
        auto places = in_line_ ? std::vector<std::size_t>{} : places_for(*work);
        work->waiters = std::make_shared<job_waiters>();
        work->waiters->id = ++last_job_;
        if (work->options.on_progress)
            work->waiters->news = std::make_unique<progress_news>();
        if (in_line_) {
            work->waiters->runs_inline = true;
            return;
        }
        jobs_.emplace(last_job_, work);
        generators_ += work->items != nullptr;
        auto& options = work->options;
        scheduler_.add_job(last_job_, {.size = work->size,
                                       .chunk_size = options.chunk_size,
                                       .priority = options.priority,
                                       .ahead = options.in_flight == 0 ? unknown_size : options.in_flight,
                                       .concurrent = work->coroutine && options_.concurrency > 1,
                                       .places = std::move(places),
                                       .endless = work->items != nullptr});
        if (options.deadline.count() > 0) {
            auto now = std::chrono::steady_clock::now();
            work->waiters->until = now + std::min<std::chrono::nanoseconds>(options.deadline, now.max() - now);
            if (executor_)
                start_deadline(last_job_, *work);
        }
    });
}

bool pool_state::done(const job& work)
{
    std::scoped_lock lock{mutex_};
    return work.waiters && work.waiters->done;
}

void pool_state::change(job& work, const std::function<void()>& how)
{
    turn([&] {
        how();
        if (!in_line_)
            return scheduler_.input_ready(work.waiters->id);
        wake_all(work);
    });
}

void pool_state::notify(const std::shared_ptr<job>& work, const asio::any_io_executor& executor, std::function<void()> then)
{
    auto w = std::make_unique<notification>(executor, std::move(then));
    turn([&] {
        if (in_line_ || work->waiters->done)
            return to_wake_.emplace_back(std::move(w), std::error_code{}), void();
        know(*w->loop);
        work->waiters->waiting.add(std::move(w));
    });
}

bool pool_state::pop(job& work)
{
    {
        std::scoped_lock lock{mutex_};
        if (!work.ready())
            return false;
        auto id = work.waiters->id;
        bool was_full = work.full();
        bool more = scheduler_.consumed(id, work.pop());
        if (work.items)
            allow_items(work);
        if (was_full && !work.full())
            scheduler_.input_ready(id);
        else if (!more)
            return true; // a turn for each item would cost more than the item
    }
    turn([] {});
    return true;
}

bool pool_state::cancel(job& work, const char* why)
{
    bool was_running = false;
    turn([&] {
        if (!work.waiters || work.waiters->done)
            return;
        was_running = true;
        work.failure = std::make_exception_ptr(cancelled_error{why});
        if (work.waiters->runs_inline)
            release(work);
        else
            scheduler_.cancel_job(work.waiters->id);
    });
    return was_running;
}

void pool_state::close()
{
    turn([&] {
        closing_ = true;
        scheduler_.close();
    });
}

void pool_state::terminate(const char* why)
{
    turn([&] {
        closing_ = true;
        auto jobs = jobs_;
        for (auto& [id, work] : jobs) {
            work->failure = std::make_exception_ptr(cancelled_error{why});
            scheduler_.cancel_job(id);
            finish(id);
        }
        scheduler_.close();
        std::vector<worker_id> ids;
        for (auto& [id, worker] : workers_) {
            worker.link->kill(); // all first, so that they die at the same time
            ids.push_back(id);
        }
        for (worker_id id : ids)
            remove(id, true, false);
        if (glance_)
            glance_->cancel();
    });
}

std::exception_ptr pool_state::finalizer_failure()
{
    std::scoped_lock lock{mutex_};
    return finalizer_failure_;
}

template <class Slot>
bool pool_state::wait_for(const std::shared_ptr<job>& work, std::unique_ptr<waiter> w, Slot slot, bool for_news)
{
    std::scoped_lock lock{mutex_};
    bool news = for_news && work->waiters->news && work->waiters->news->due();
    if (work ? work->waiters->done || work->ready() || news : closed()) {
        to_wake_.emplace_back(std::move(w), std::error_code{});
        return false;
    }
    know(*w->loop);
    w->for_news = for_news;
    auto id = (work ? work->waiters->waiting : closers_).add(std::move(w));
    if (slot.is_connected())
        slot.assign([self = shared_from_this(), work, id](asio::cancellation_type) { self->cancel_wait(work, id); });
    return true;
}

void pool_state::cancel_wait(const std::shared_ptr<job>& work, std::uint64_t id)
{
    turn([&] {
        if (auto found = (work ? work->waiters->waiting : closers_).remove(id))
            to_wake_.emplace_back(std::move(found), asio::error::operation_aborted);
    });
}

task<> pool_state::wait(std::shared_ptr<job> work, bool for_news)
{
    auto self = shared_from_this();
    auto initiate = [self, work, for_news](auto handler) {
        auto slot = asio::get_associated_cancellation_slot(handler);
        auto pool = self; // another thread may wake the waiter at once, and this object is gone then
        if (!pool->wait_for(work, std::make_unique<waiter_of<decltype(handler)>>(std::move(handler)), slot, for_news))
            pool->turn([] {}); // it has ended already: wakes it
    };
    auto end = asio::async_initiate<const asio::use_awaitable_t<>, void(std::error_code)>(std::move(initiate), asio::use_awaitable);
    co_await std::move(end);
}

} // namespace coproc::detail
