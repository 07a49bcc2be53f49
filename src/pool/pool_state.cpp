#include "pool/pool_state.hpp"

#include "process/loop.hpp"
#include "wire/exception.hpp"

#include <coproc/cpu_count.hpp>
#include <coproc/error.hpp>

#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>
#include <csignal>
#include <cstring>

namespace coproc::detail {
namespace {

// After so long without a ring the pool looks into the rings itself, for the result of a short task that waits while a
// long one runs (see worker_main.cpp). Far above the doorbell's own pace, far below what anybody notices.
constexpr std::chrono::milliseconds glance_after{2};

scheduler_options scheduling(const pool_options& options)
{
    scheduler_options result;
    result.workers = static_cast<std::size_t>(std::max(options.workers, 1));
    result.max_tasks_per_worker = options.max_tasks_per_worker;
    return result;
}

} // namespace

pool_state::pool_state(pool_options options, bool in_line)
    : options_{std::move(options)}, in_line_{in_line}, scheduler_{scheduling(options_)}
{
}

template <class F>
void pool_state::turn(F f)
{
    decltype(to_wake_) to_wake;
    decltype(to_destroy_) to_destroy;
    decltype(jobs_to_destroy_) jobs;
    {
        std::scoped_lock lock{mutex_};
        f();
        carry_out();
        to_wake.swap(to_wake_);
        to_destroy.swap(to_destroy_);
        jobs.swap(jobs_to_destroy_);
    }
    for (auto& [waiter, error] : to_wake)
        waiter->wake(error);
}

pool_state::~pool_state()
{
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
        executor_ = executor;
        readiness_.emplace(executor_, watched_.number());
    });
}

void pool_state::carry_out()
{
    if (!executor_)
        return; // what is submitted waits until there is a loop
    while (auto a = scheduler_.next())
        carry_out(*a);
    for (auto& [id, worker] : workers_)
        if (std::exchange(worker.dirty, false))
            worker.link->flush();
    listen();
    if (scheduler_.closed())
        for (auto& waiter : closers_.take())
            to_wake_.emplace_back(std::move(waiter), std::error_code{});
}

void pool_state::carry_out(const action& a)
{
    switch (a.what) {
    case act::take: return take(a);
    case act::send_again: return send(*find(a.chunk), a.worker);
    case act::withdraw: {
        auto worker = workers_.find(a.worker);
        auto* chunk = find(a.chunk);
        bool in_time = worker != workers_.end() && chunk && worker->second.link->withdraw(chunk->number);
        return scheduler_.withdrawn(a.chunk, in_time);
    }
    case act::drop: discard(a.chunk); return;
    case act::finish_job: return finish(a.job);
    case act::start_worker: return start_worker();
    case act::stop_worker: {
        auto& worker = workers_.at(a.worker);
        worker.link->send_stop();
        worker.dirty = true;
        worker.patience = std::make_unique<asio::steady_timer>(executor_);
        worker.next_signal = SIGTERM;
        return lose_patience(a.worker);
    }
    case act::give_up: return fail_all();
    }
}

void pool_state::take(const action& a)
{
    auto work = jobs_.at(a.job);
    parcel taken;
    if (spare_.empty())
        taken.body = make_message();
    else {
        taken.body = std::move(spare_.back());
        spare_.pop_back();
    }
    bool more = false;
    try {
        // A chunk that adapts fits one frame; one whose size was asked for is as large as it gets.
        taken.count = work->next(taken.body, a.most, work->chunk_size == 0 ? max_body : unknown_size);
        auto state = scheduler_.taken(a.job) + taken.count;
        more = work->size != unknown_size ? state < work->size && taken.count > 0 : taken.count == a.most || taken.body.size() >= max_body;
    } catch (...) {
        fail(*work, scheduler_.taken(a.job), std::current_exception());
        return scheduler_.input_failed(a.job);
    }
    std::size_t count = taken.count;
    taken.of = work;
    chunk_id id = scheduler_.took(a.job, a.worker, count, more);
    if (id == 0)
        return;
    taken.id = id;
    std::size_t index = slot_map<parcel>::index(id);
    if (parcels_.size() <= index)
        parcels_.resize(index + 1);
    parcels_[index] = std::move(taken);
    send(parcels_[index], a.worker);
}

pool_state::parcel* pool_state::find(chunk_id id)
{
    std::size_t index = slot_map<parcel>::index(id);
    return index < parcels_.size() && parcels_[index].id == id ? &parcels_[index] : nullptr;
}

// Its memory is used again; what the caller's types have in it is destroyed after the turn.
void pool_state::discard(chunk_id id)
{
    auto* p = find(id);
    if (!p)
        return;
    if (p->of.use_count() == 1)
        jobs_to_destroy_.push_back(std::move(p->of));
    if (spare_.size() < task_slots && p->body.size() <= max_body && p->body.attachments().empty()) {
        p->body.clear();
        spare_.push_back(std::move(p->body));
    }
    *p = parcel{};
}

void pool_state::send(parcel& p, worker_id to)
{
    auto& worker = workers_.at(to);
    auto place = scheduler_.place(p.id);
    try {
        p.number = worker.link->send_task(p.body, p.count, place.first, p.keep);
    } catch (...) {
        chunk_id id = p.id;
        fail(*p.of, place.first, std::current_exception());
        discard(id);
        return scheduler_.failed(id, place.first);
    }
    worker.by_number[p.number % task_slots] = p.id;
    worker.dirty = true;
    if (scheduler_.has_several(to))
        look_again_soon();
}

void pool_state::start_worker()
{
    worker_id id = ++last_worker_;
    try {
        workers_[id].link = std::make_unique<worker_link>(watched_, id, options_.name + "-" + std::to_string(id), options_);
        scheduler_.worker_started(id);
    } catch (const std::system_error& e) {
        reason_ = [code = e.code(), what = std::string{e.what()}] { return std::make_exception_ptr(std::system_error{code, "a pool can't start its workers"}); };
        workers_.erase(id);
        scheduler_.start_failed();
    } catch (const std::exception& e) {
        reason_ = [what = std::string{e.what()}] { return std::make_exception_ptr(error{"a pool can't start its workers: " + what}); };
        workers_.erase(id);
        scheduler_.start_failed();
    }
}

// Waits for the set while tasks are out, workers come up or are told to stop.
void pool_state::listen()
{
    bool wanted = scheduler_.jobs() > 0 || (closing_ && !workers_.empty())
                  || std::ranges::any_of(workers_, [](auto& w) { return w.second.link->starting() || w.second.patience; });
    if (wanted == listening_)
        return;
    listening_ = wanted;
    if (!wanted)
        return readiness_->cancel();
    readiness_->async_wait(asio::posix::descriptor_base::wait_read, [weak = weak_from_this()](std::error_code error) {
        if (auto self = weak.lock(); self && !error)
            self->turn([&] { self->collect(); });
    });
}

void pool_state::collect()
{
    listening_ = false;
    tokens_.clear();
    watched_.collect(tokens_);
    for (auto token : tokens_)
        reported(worker_of(token), wakeup_of(token));
}

void pool_state::reported(worker_id id, wakeup what)
{
    auto found = workers_.find(id);
    if (found == workers_.end())
        return;
    auto& link = *found->second.link;
    try {
        if (what == wakeup::startup)
            link.advance_startup();
    } catch (const std::exception& e) {
        reason_ = [text = std::string{e.what()}] { return std::make_exception_ptr(error{"a pool can't start its workers: " + text}); };
        link.kill();
        return remove(id, false, false);
    }
    look(link);
    if (what == wakeup::ended)
        if (auto status = link.poll_end())
            ended(link, *status);
}

// The steps after a worker was told to stop, each after the time of grace.
void pool_state::lose_patience(worker_id id)
{
    auto& timer = *workers_.at(id).patience;
    timer.expires_after(options_.grace);
    timer.async_wait([weak = weak_from_this(), id](std::error_code error) {
        auto self = weak.lock();
        if (error || !self)
            return;
        self->turn([&] {
            auto found = self->workers_.find(id);
            if (found == self->workers_.end())
                return;
            found->second.link->send_signal(found->second.next_signal);
            if (std::exchange(found->second.next_signal, SIGKILL) == SIGTERM)
                self->lose_patience(id);
        });
    });
}

void pool_state::look(worker_link& link)
{
    bool any = false;
    try {
        any = link.read_results([&](const frame& header, std::span<const std::byte> body, std::vector<attachment>& attachments) {
            arrived(link, header, body, attachments);
        });
    } catch (const std::exception& e) {
        // What it says makes no sense any more: it is stopped, and its death is dealt with like any other.
        reason_ = [what = std::string{e.what()}] { return std::make_exception_ptr(error{"a worker sent nonsense: " + what}); };
        link.kill();
    }
    workers_.at(link.id()).dirty = true;
    if (any && scheduler_.has_several(link.id()))
        look_again_soon();
}

void pool_state::look_again_soon()
{
    if (std::exchange(glance_is_set_, true))
        return;
    if (!glance_)
        glance_.emplace(executor_);
    glance_->expires_after(glance_after);
    glance_->async_wait([weak = weak_from_this()](std::error_code error) {
        auto self = weak.lock();
        if (error || !self)
            return;
        self->turn([&] {
            self->glance_is_set_ = false;
            for (auto& [id, worker] : self->workers_)
                self->look(*worker.link);
        });
    });
}

void pool_state::arrived(worker_link& link, const frame& header, std::span<const std::byte> body, std::vector<attachment>& attachments)
{
    input_archive in{body.data(), body.size(), &attachments};
    if (header.kind == frame_kind::broken) {
        auto e = decode_exception(in);
        if (header.number == 1) {
            if (!finalizer_failure_)
                finalizer_failure_ = e;
            return;
        }
        reason_ = [bytes = std::vector<std::byte>(body.begin(), body.end())] {
            input_archive again{bytes.data(), bytes.size()};
            return decode_exception(again);
        };
        return fail_all();
    }
    if (header.kind != frame_kind::result && header.kind != frame_kind::failure)
        throw protocol_error{"a worker sent a frame that only pools send"};
    chunk_id id = workers_.at(link.id()).by_number[header.number % task_slots];
    auto* p = find(id);
    if (!p || p->number != header.number || !link.begun(header.number))
        throw protocol_error{"a worker answered a task that it does not have"};
    auto place = scheduler_.place(id);
    bool wanted = place.job != 0;
    if (header.kind == frame_kind::result) {
        try {
            if (header.count != p->count)
                throw protocol_error{"a worker returned " + std::to_string(header.count) + " results for " + std::to_string(p->count) + " calls"};
            if (wanted)
                p->of->results(in, place.first, p->count);
            discard(id);
            scheduler_.finished(id, header.time);
        } catch (...) {
            fail(*p->of, place.first, std::current_exception());
            discard(id);
            scheduler_.failed(id, place.first);
        }
        return;
    }
    std::size_t index = place.first + std::min<std::size_t>(header.count, p->count - 1);
    if (wanted) {
        std::exception_ptr e;
        try {
            e = decode_exception(in);
        } catch (...) {
            e = std::current_exception();
        }
        fail(*p->of, index, e);
    }
    discard(id);
    scheduler_.failed(id, index);
}

void pool_state::fail(job& work, std::size_t index, std::exception_ptr e)
{
    if (index < work.waiters->failed_at || !work.failure) {
        work.waiters->failed_at = index;
        work.failure = std::move(e);
    }
}

void pool_state::ended(worker_link& link, const exit_status& status)
{
    look(link); // what it finished before its end is in the ring
    bool orderly = link.told_to_stop();
    bool cost_a_task = false;
    for (chunk_id id : scheduler_.in_flight(link.id())) {
        auto* p = find(id);
        if (!p || !link.begun(p->number))
            continue;
        auto place = scheduler_.place(id);
        worker_crashed::report report;
        report.signal = status.signal();
        report.exit_code = status.code();
        report.pid = link.pid();
        report.index = place.first + std::min(link.calls_done(), p->count - 1);
        report.task_name = p->of->name;
        std::size_t index = report.index;
        if (place.job != 0)
            fail(*p->of, index, std::make_exception_ptr(worker_crashed{std::move(report)}));
        discard(id);
        scheduler_.failed(id, index);
        cost_a_task = true;
    }
    if (!orderly && !cost_a_task && !reason_)
        reason_ = [status, pid = link.pid()] {
            return std::make_exception_ptr(error{"the pool's workers end before they come to a task: the last one, " + std::to_string(pid)
                                                 + (status.signal() != 0 ? ", was killed by signal " + std::to_string(status.signal())
                                                                         : ", exited with code " + std::to_string(status.code()))});
        };
    remove(link.id(), orderly, cost_a_task);
}

void pool_state::remove(worker_id id, bool orderly, bool cost_a_task)
{
    auto found = workers_.find(id);
    to_destroy_.push_back(std::move(found->second.link));
    workers_.erase(found);
    scheduler_.worker_ended(id, orderly, cost_a_task);
}

void pool_state::finish(job_id id)
{
    auto found = jobs_.find(id);
    if (found == jobs_.end())
        return;
    auto work = std::move(found->second);
    jobs_.erase(found);
    work->waiters->done = true;
    for (auto& waiter : work->waiters->waiting.take())
        to_wake_.emplace_back(std::move(waiter), std::error_code{});
    jobs_to_destroy_.push_back(std::move(work));
}

void pool_state::fail_all()
{
    if (!reason_)
        reason_ = [] { return std::make_exception_ptr(error{"the pool has failed"}); };
    closing_ = true;
    auto jobs = jobs_;
    for (auto& [id, work] : jobs) {
        work->failure = reason_();
        scheduler_.cancel_job(id);
    }
    scheduler_.close();
}

void pool_state::submit(const std::shared_ptr<job>& work)
{
    turn([&] {
        if (work->waiters)
            return;
        if (closing_) {
            if (reason_)
                std::rethrow_exception(reason_());
            throw usage_error{"the pool is closed: it takes no more tasks"};
        }
        work->waiters = std::make_shared<job_waiters>();
        work->waiters->id = ++last_job_;
        if (in_line_) {
            work->waiters->runs_inline = true;
            return;
        }
        jobs_.emplace(last_job_, work);
        scheduler_.add_job(last_job_, work->size, work->chunk_size);
    });
}

bool pool_state::done(const job& work)
{
    std::scoped_lock lock{mutex_};
    return work.waiters && work.waiters->done;
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
            work.waiters->done = true;
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
        if (scheduler_.closed())
            for (auto& waiter : closers_.take())
                to_wake_.emplace_back(std::move(waiter), std::error_code{});
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
        for (auto& waiter : closers_.take())
            to_wake_.emplace_back(std::move(waiter), std::error_code{});
    });
}

std::exception_ptr pool_state::finalizer_failure()
{
    std::scoped_lock lock{mutex_};
    return finalizer_failure_;
}

bool pool_state::wait_for(const std::shared_ptr<job>& work, std::unique_ptr<waiter> w, waiter*& added)
{
    std::scoped_lock lock{mutex_};
    if (work ? work->waiters->done : scheduler_.closed() || (in_line_ && closing_)) {
        to_wake_.emplace_back(std::move(w), std::error_code{});
        return false;
    }
    added = (work ? work->waiters->waiting : closers_).add(std::move(w));
    return true;
}

void pool_state::cancel_wait(const std::shared_ptr<job>& work, waiter* w)
{
    turn([&] {
        if (auto found = (work ? work->waiters->waiting : closers_).remove(w))
            to_wake_.emplace_back(std::move(found), asio::error::operation_aborted);
    });
}

task<> pool_state::wait(std::shared_ptr<job> work)
{
    auto self = shared_from_this();
    auto initiate = [self, work](auto handler) {
        auto slot = asio::get_associated_cancellation_slot(handler);
        waiter* added = nullptr;
        if (!self->wait_for(work, std::make_unique<waiter_of<decltype(handler)>>(std::move(handler)), added))
            return self->turn([] {}); // it has ended already: wakes it
        if (slot.is_connected())
            slot.assign([self, work, added](asio::cancellation_type) { self->cancel_wait(work, added); });
    };
    auto end = asio::async_initiate<const asio::use_awaitable_t<>, void(std::error_code)>(std::move(initiate), asio::use_awaitable);
    co_await std::move(end);
}

} // namespace coproc::detail
