#include <coproc/call.hpp>
#include <coproc/pool.hpp>

#include "pool/pool_state.hpp"
#include "process/loop.hpp"
#include "process/runtime.hpp"
#include "process/within.hpp"
#include "wire/bulk.hpp"

#include <coproc/cpu_count.hpp>
#include <coproc/detail/generator_job.hpp>
#include <coproc/error.hpp>

#include <asio/error.hpp>
#include <asio/this_coro.hpp>

#include <algorithm>
#include <set>
#include <string_view>

namespace coproc {
namespace detail {

namespace {

void check_size(pool_options& options)
{
    if (options.idle_time.count() < 0)
        throw usage_error{"a worker can't be idle for less than no time"};
    if (!options.min_workers && options.idle_time.count() > 0)
        options.min_workers = 0;
    if (options.min_workers && (*options.min_workers < 0 || *options.min_workers > options.workers))
        throw usage_error{"a pool of " + std::to_string(options.workers) + " workers can't have at least " + std::to_string(*options.min_workers)};
    std::set<std::string_view> names;
    for (auto& tag : options.tags) {
        if (tag.name.empty() || tag.places.empty() || !names.insert(tag.name).second)
            throw usage_error{"a tag of workers needs a name of its own and a place"};
        for (int place : tag.places)
            if (place < 0 || place >= options.workers)
                throw usage_error{"the tag " + tag.name + " names worker " + std::to_string(place) + " of " + std::to_string(options.workers)};
    }
}

} // namespace

std::shared_ptr<pool_state> make_pool(asio::any_io_executor executor, pool_options options, bool in_line)
{
    if (options.workers < 0)
        throw usage_error{"a pool needs at least one worker, not " + std::to_string(options.workers)};
    if (options.concurrency < 1 || options.concurrency > 1'000'000)
        throw usage_error{"a worker runs 1 to 1000000 coroutines at a time, not " + std::to_string(options.concurrency)};
    if (options.workers == 0 && !in_line)
        options.workers = cpu_count();
    check_size(options);
    if (!in_line)
        this_runtime().check_may_start();
    auto state = std::make_shared<pool_state>(std::move(options), in_line);
    if (!executor)
        if (auto loop = running_loop())
            executor = *loop;
    if (executor)
        state->bind(executor);
    return state;
}

void submit_job(const std::shared_ptr<pool_state>& pool, std::shared_ptr<job> work)
{
    pool->submit(work);
    if (pool->in_line() && !work->coroutine && pool->claim_inline(*work))
        pool->run_inline(*work);
}

bool job_is_done(pool_state& pool, const job& work) { return pool.done(work); }
std::optional<task_statistics> usage_of_job(pool_state& pool, const job& work) { return pool.usage_of(work); }
bool cancel_job(pool_state& pool, job& work) { return pool.cancel(work, "the task was cancelled"); }

namespace {

// What on_progress throws cancels the call.
void tell_progress(pool_state& pool, job& work)
{
    try {
        pool.tell_progress(work);
    } catch (...) {
        pool.cancel(work, "its on_progress has thrown");
        throw;
    }
}

task<> wait_job(std::shared_ptr<pool_state> pool, std::shared_ptr<job> work, bool tells = false)
{
    pool->bind(co_await asio::this_coro::executor);
    submit_job(pool, work);
    if (!pool->done(*work) && pool->in_line() && pool->claim_inline(*work)) {
        auto end = pool->run_inline_coroutine(work);
        co_await std::move(end);
    }
    for (bool done = false; !done;) {
        done = pool->done(*work); // before the news, so that the last ones are told
        if (tells)
            tell_progress(*pool, *work);
        if (!done) {
            auto change = pool->wait(work, tells);
            co_await std::move(change);
        }
    }
}

task<> close_pool(std::shared_ptr<pool_state> pool, bool cancel_pending)
{
    pool->close(); // first: no worker is started for this
    if (cancel_pending)
        pool->cancel_pending("the pool was closed before the task began");
    pool->bind(co_await asio::this_coro::executor);
    auto end = pool->wait(nullptr);
    co_await std::move(end);
    if (auto failure = pool->finalizer_failure())
        std::rethrow_exception(failure);
}

} // namespace

task<> finish_job(std::shared_ptr<pool_state> pool, std::shared_ptr<job> work)
{
    try {
        auto end = wait_job(pool, work, true);
        co_await std::move(end);
    } catch (const std::system_error& e) {
        if (e.code() == asio::error::operation_aborted)
            pool->cancel(*work, "the caller was cancelled");
        throw;
    }
    if (work->failure)
        std::rethrow_exception(work->failure);
}

void change_job(pool_state& pool, job& work, const std::function<void()>& change) { pool.change(work, change); }

void when_done(const std::shared_ptr<pool_state>& pool, const std::shared_ptr<job>& work, const asio::any_io_executor& executor, std::function<void()> then)
{
    if (!pool->in_line())
        pool->bind(executor);
    pool->notify(work, executor, std::move(then));
}

void submit_stream(const std::shared_ptr<pool_state>& pool, std::shared_ptr<job> work)
{
    if (work->options.in_flight == 0)
        work->options.in_flight = 256 * static_cast<std::size_t>(std::max(pool->size(), 1));
    pool->submit(work);
}

task<bool> next_item(std::shared_ptr<pool_state> pool, std::shared_ptr<job> work)
{
    pool->bind(co_await asio::this_coro::executor);
    while (tell_progress(*pool, *work), !pool->pop(*work)) {
        if (pool->done(*work)) {
            tell_progress(*pool, *work);
            if (work->failure)
                std::rethrow_exception(work->failure);
            co_return false;
        }
        try {
            auto change = pool->in_line() ? pool->run_inline_step(work) : pool->wait(work, true);
            co_await std::move(change);
        } catch (const std::system_error& e) {
            if (e.code() == asio::error::operation_aborted)
                pool->cancel(*work, "the stream was cancelled");
            throw;
        }
    }
    co_return true;
}

task<bool> finish_job_within(std::shared_ptr<pool_state> pool, std::shared_ptr<job> work, std::chrono::nanoseconds time)
{
    if (pool->done(*work))
        co_return true;
    if (time <= time.zero())
        co_return false;
    if (pool->in_line()) { // whoever waits is who runs it, to its end
        auto end = wait_job(pool, work);
        co_await std::move(end);
        co_return true;
    }
    auto end = within(wait_job(pool, work), time);
    co_return co_await std::move(end) || pool->done(*work);
}

pool_options pool_for_one(const own_process_options& options)
{
    pool_options result;
    result.workers = 1;
    result.memory_limit = options.memory_limit;
    result.cpu_limit = options.cpu_limit;
    result.open_files_limit = options.open_files_limit;
    result.grace = options.grace;
    result.name = "call";
    return result;
}

call_options call_for_one(const own_process_options& options) noexcept
{
    call_options result;
    result.timeout = options.timeout;
    result.deadline = options.deadline;
    result.retries = options.retries;
    result.backoff = options.backoff;
    result.retry_if = options.retry_if;
    result.name = options.name;
    return result;
}

} // namespace detail

pool_options pool::with_workers(int workers)
{
    if (workers < 1)
        throw usage_error{"a pool needs at least one worker, not " + std::to_string(workers)};
    pool_options options;
    options.workers = workers;
    return options;
}

pool& pool::operator=(pool&& other) noexcept
{
    pool dropped{std::move(*this)};
    state_ = std::move(other.state_);
    return *this;
}

pool::~pool()
{
    if (state_)
        state_->terminate("the pool was destroyed before the task was done");
}

const std::shared_ptr<detail::pool_state>& pool::state() const
{
    if (!state_)
        throw usage_error{"this pool was moved away"};
    return state_;
}

int pool::size() const noexcept { return state_ ? state_->size() : 0; }
void pool::resize(int workers) { state()->resize(workers); }
void pool::recycle() { state()->recycle(); }
pool_statistics pool::statistics() const { return state()->statistics(); }
task<> pool::close() { return detail::close_pool(state(), false); }
task<> pool::close(cancel_pending_t) { return detail::close_pool(state(), true); }
void pool::terminate() { state()->terminate("the pool was terminated before the task was done"); }

} // namespace coproc
