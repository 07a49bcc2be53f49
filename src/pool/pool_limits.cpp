// Tasks that fail, take too long, or are not wanted any more.
#include "pool/pool_state.hpp"

#include <coproc/error.hpp>

#include <csignal>
#include <random>
#include <string>

namespace coproc::detail {
namespace {

// As the workers count.
std::uint64_t now() { return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds{1}); }

std::string in_words(std::chrono::nanoseconds time)
{
    using namespace std::chrono;
    return time < 10s ? std::to_string(duration_cast<milliseconds>(time).count()) + " ms" : std::to_string(duration_cast<seconds>(time).count()) + " s";
}

std::exception_ptr too_long(const job& work)
{
    auto task = work.name.empty() ? std::string{"a task"} : "the task " + work.name;
    return std::make_exception_ptr(timeout_error{task + " ran for more than " + in_words(work.options.timeout)});
}

} // namespace

// Between a half and the whole of the time, which doubles from try to try (up to 64-fold).
std::chrono::nanoseconds pool_state::wait_before(const job& work, int attempt)
{
    thread_local std::minstd_rand random{std::random_device{}()};
    int doubled = std::min(attempt - 1, 6);
    auto whole = std::min(work.options.backoff, std::chrono::nanoseconds::max() / 64).count() << doubled;
    return std::chrono::nanoseconds{std::uniform_int_distribution{whole / 2, whole}(random)};
}

void pool_state::fail(job& work, std::size_t index, std::exception_ptr e)
{
    if (index < work.waiters->failed_at || !work.failure) {
        work.waiters->failed_at = index;
        work.failure = std::move(e);
    }
}

// Notes the error; true if its job waits for the others all the same.
bool pool_state::goes_on(job& work, std::size_t index, const std::exception_ptr& e)
{
    bool kept = work.keep_error(index, e);
    if (!kept)
        fail(work, index, e);
    bool on = kept || work.options.on_error == error_policy::finish_all;
    if (on)
        note_done(work, 1);
    return on;
}

// If whoever is asked throws, that is the error. What a task got that can be had only once is gone with its first try.
bool pool_state::worth_a_try(const job& work, const buffer& body, int attempt, std::exception_ptr& e)
{
    auto& options = work.options;
    if (body.only_once() || (work.callee && work.callee->only_once()))
        return false;
    if (attempt >= options.retries || !options.retry_if)
        return attempt < options.retries;
    try {
        return options.retry_if(e);
    } catch (...) {
        e = std::current_exception();
        return false;
    }
}

// Whoever waits for the next item of a stream looks again.
void pool_state::announce(job& work)
{
    if (work.ready())
        wake_all(work);
}

// A chunk has ended without results: it is tried again, or its job hears of it.
void pool_state::lost(chunk_id id, std::size_t index, std::exception_ptr e, std::uint64_t pool_statistics::*kind)
{
    auto& p = *find(id);
    if (!scheduler_.wanted(id)) {
        discard(id);
        return scheduler_.settled(id);
    }
    if (p.timed_out || worth_a_try(*p.of, p.body, p.attempt, e)) { // that its time was up was found to be worth it
        ++p.attempt;
        ++counts_.retried;
        p.at = 0;
        p.now = phase::delayed;
        scheduler_.retry(id); // may be the end of it, when its job has failed
        return p.of->options.backoff.count() > 0 ? start_clock(p, wait_before(*p.of, p.attempt)) : scheduler_.again(id);
    }
    ++counts_.failed;
    if (kind)
        ++(counts_.*kind);
    bool on = goes_on(*p.of, index, e);
    announce(*p.of);
    discard(id);
    on ? scheduler_.settled(id) : scheduler_.failed(id, index);
}

// Whether a task has begun is decided by taking it back: those that had not, of a call that has, are sent again.
void pool_state::cancel_pending(const char* why)
{
    turn([&] {
        const auto all = jobs_; // what is withdrawn may end some
        for (auto& [id, work] : all) {
            std::size_t here = 0;
            for (std::size_t i = 0; i < parcels_.size(); ++i) {
                auto& p = parcels_[i];
                if (p.of != work)
                    continue;
                if (p.at != 0)
                    carry_out({act::withdraw, p.at, id, p.id});
                if (p.id != 0 && p.at == 0)
                    here += p.count;
            }
            if (here < scheduler_.taken(id))
                continue;
            work->failure = std::make_exception_ptr(cancelled_error{why});
            scheduler_.cancel_job(id);
        }
    });
}

void pool_state::start_clock(parcel& p, std::chrono::nanoseconds time)
{
    if (!executor_)
        return; // bind does it
    if (!p.clock)
        p.clock = std::make_unique<asio::steady_timer>(executor_);
    p.clock->expires_after(time);
    p.clock->async_wait([weak = weak_from_this(), id = p.id](std::error_code error) {
        if (auto self = weak.lock(); self && !error)
            self->turn_of_handler([&] { self->clock_rang(id); });
    });
}

void pool_state::clock_rang(chunk_id id)
{
    auto* p = find(id);
    if (!p || !p->clock || p->clock->expiry() > std::chrono::steady_clock::now()) // it was set again since
        return;
    if (p->now == phase::delayed)
        return scheduler_.again(id);
    if (p->at == 0)
        return;
    look(*workers_.at(p->at).link); // it may have ended in time
    p = find(id);
    if (!p || p->at == 0)
        return;
    auto& link = *workers_.at(p->at).link;
    switch (p->now) {
    case phase::runs: return time_is_up(id);
    case phase::asked:
        link.send_signal(SIGTERM);
        p->now = phase::terminated;
        return start_clock(*p, options_.grace);
    case phase::terminated: return link.send_signal(SIGKILL);
    case phase::delayed: return;
    }
}

// The limit counts from when a worker began the task, which only its page tells: until then, and for what is left of it
// then, the clock is set again.
void pool_state::time_is_up(chunk_id id)
{
    auto* p = find(id);
    auto& link = *workers_.at(p->at).link;
    auto limit = p->of->options.timeout;
    if (!link.begun(p->number))
        return start_clock(*p, limit);
    if (p->begun == 0)
        p->begun = std::min(link.begun_at(p->number), now());
    if (auto ran = std::chrono::nanoseconds{now() - p->begun}; ran < limit)
        return start_clock(*p, limit - ran);
    p->timed_out = true;
    auto e = too_long(*p->of);
    if (worth_a_try(*p->of, p->body, p->attempt, e))
        return scheduler_.stop(id);
    ++counts_.failed;
    ++counts_.timed_out;
    auto index = scheduler_.place(id).first;
    scheduler_.abandon(id, goes_on(*p->of, index, e) ? unknown_size : index);
    announce(*p->of);
}

void pool_state::start_deadline(job_id id, job& work)
{
    auto& timer = work.waiters->deadline = std::make_unique<asio::steady_timer>(executor_, work.waiters->until);
    timer->async_wait([weak = weak_from_this(), id](std::error_code error) {
        auto self = weak.lock();
        if (error || !self)
            return;
        self->turn_of_handler([&] {
            auto found = self->jobs_.find(id);
            if (found == self->jobs_.end())
                return;
            for (auto& [id_of, worker] : self->workers_)
                self->look(*worker.link); // it may have ended in time
            while (auto a = self->scheduler_.next_decision())
                self->carry_out(*a);
            if (found = self->jobs_.find(id); found == self->jobs_.end())
                return;
            auto& late = *found->second;
            late.failure = std::make_exception_ptr(timeout_error{"the call took more than " + in_words(late.options.deadline)});
            self->scheduler_.cancel_job(id);
        });
    });
}

} // namespace coproc::detail
