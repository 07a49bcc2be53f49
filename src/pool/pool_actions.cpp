// What the scheduler decided is carried out.
#include "pool/pool_state.hpp"

#include <coproc/detail/generator_job.hpp>
#include <coproc/error.hpp>

#include <algorithm>
#include <cerrno>
#include <csignal>

namespace coproc::detail {
namespace {

constexpr std::chrono::seconds startup_limit{60}; // as for any process

} // namespace

void pool_state::carry_out()
{
    // What is submitted waits until there is a loop; what is withdrawn doesn't.
    while (auto a = executor_ ? scheduler_.next() : scheduler_.next_decision())
        carry_out(*a);
    if (executor_) {
        for (auto& [id, worker] : workers_)
            if (std::exchange(worker.dirty, false))
                flush(worker);
        listen();
    }
    if (closed())
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
        bool in_time = worker != workers_.end() && chunk && chunk->at == a.worker && worker->second.link->withdraw(chunk->number);
        if (in_time) {
            chunk->at = 0;
            chunk->clock.reset();
        }
        return scheduler_.withdrawn(a.chunk, in_time);
    }
    case act::stop_task: {
        auto* chunk = find(a.chunk);
        if (!chunk || chunk->at != a.worker)
            return; // it has ended since
        workers_.at(a.worker).link->request_stop(chunk->number);
        chunk->now = phase::asked;
        return start_clock(*chunk, options_.grace);
    }
    case act::drop: discard(a.chunk); return;
    case act::finish_job: return finish(a.job);
    case act::fail_job: {
        if (auto found = jobs_.find(a.job); found != jobs_.end())
            found->second->failure = last_trouble_();
        return scheduler_.cancel_job(a.job);
    }
    case act::start_worker: return start_worker(a.place);
    case act::stop_worker:
        counts_.replaced += !closing_ && a.place < scheduler_.places();
        return stop_worker(a.worker);
    case act::give_up: return fail_all(last_trouble_);
    }
}

void pool_state::stop_worker(worker_id id)
{
    auto& worker = workers_.at(id);
    worker.link->send_stop();
    worker.dirty = true;
    be_patient(id, worker);
}

void pool_state::be_patient(worker_id id, seat& worker)
{
    worker.next_signal = SIGTERM;
    worker.patience = std::make_unique<asio::steady_timer>(executor_);
    lose_patience(id);
}

void pool_state::flush(seat& worker)
{
    try {
        worker.link->flush();
    } catch (const std::system_error& e) {
        // Too many descriptors are under way, or no memory for them: they are sent a little later.
        if (e.code().value() != ETOOMANYREFS && e.code().value() != ENOBUFS && e.code().value() != ENOMEM)
            throw;
        look_again_soon();
    }
}

void pool_state::take(const action& a)
{
    auto work = jobs_.at(a.job);
    if (work->full())
        return static_cast<void>(scheduler_.took(a.job, a.worker, 0, true)); // until some were popped
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
        taken.count = work->next(taken.body, a.most, work->options.chunk_size == 0 ? max_body : unknown_size);
        auto state = scheduler_.taken(a.job) + taken.count;
        more = work->size != unknown_size ? state < work->size && taken.count > 0 : taken.count == a.most || taken.body.size() >= max_body || work->more_later();
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
    if (work->items)
        work->items->chunk = id;
    std::size_t index = slot_map<parcel>::index(id);
    if (parcels_.size() <= index)
        parcels_.resize(index + 1);
    parcels_[index] = std::move(taken);
    send(parcels_[index], a.worker);
}

// Its memory is used again; what the caller's types have in it is destroyed after the turn.
void pool_state::discard(chunk_id id)
{
    auto* p = find(id);
    if (!p)
        return;
    if (p->of.use_count() == 1)
        jobs_to_destroy_.push_back(std::move(p->of));
    p->id = 0;
    p->at = 0;
    p->now = phase::runs;
    p->of = nullptr;
    p->keep = nullptr;
    p->clock = nullptr;
    if (spare_.size() < task_slots && p->body.size() <= max_body && p->body.attachments().empty()) {
        p->body.clear();
        spare_.push_back(std::move(p->body));
    }
    p->body = {};
}

void pool_state::send(parcel& p, worker_id to)
{
    auto& worker = workers_.at(to);
    auto place = scheduler_.place(p.id);
    // A task that runs for long keeps its slot, however many behind it were sent and withdrawn since.
    auto& link = *worker.link;
    auto in_use = [&](std::uint64_t number) {
        auto* other = find(worker.by_number[link.slot(number)]);
        return other && other != &p && other->at == to && link.slot(other->number) == link.slot(number);
    };
    for (std::size_t tries = 0; tries < link.slots() && in_use(link.next_number()); ++tries)
        link.skip_number();
    bool apart = p.of->callee_goes_apart();
    try {
        if (apart)
            link.send_function(p.of->waiters->id, *p.of->callee);
        auto flags = (apart ? frame::apart : 0) | (p.of->options.measure ? frame::measured : 0);
        p.number = link.send_task(p.body, p.count, place.first, p.keep, static_cast<std::uint8_t>(flags));
    } catch (...) {
        chunk_id id = p.id;
        bool on = goes_on(*p.of, place.first, std::current_exception());
        discard(id);
        return on ? scheduler_.settled(id) : scheduler_.failed(id, place.first);
    }
    if (auto* items = p.of->items.get()) {
        link.begin_items(p.number);
        link.allow_items(p.number, items->allowed, items->allowed_bytes);
    }
    p.at = to;
    p.now = phase::runs;
    p.timed_out = false;
    p.begun = 0;
    if (p.of->options.timeout.count() > 0)
        start_clock(p, p.of->options.timeout);
    worker.by_number[link.slot(p.number)] = p.id;
    worker.dirty = true;
    if (scheduler_.has_several(to))
        look_again_soon();
}

void pool_state::start_worker(std::size_t place)
{
    worker_id id = ++last_worker_;
    try {
        workers_[id].link = std::make_unique<worker_link>(watched_, id, options_.name + "-" + std::to_string(id), options_, place);
        workers_[id].by_number.resize(workers_[id].link->slots());
        limit_startup(id);
        return scheduler_.worker_started(id, place);
    } catch (const std::system_error& e) {
        last_trouble_ = [code = e.code()] { return std::make_exception_ptr(std::system_error{code, "a pool can't start its workers"}); };
    } catch (const std::exception& e) {
        last_trouble_ = [what = std::string{e.what()}] { return std::make_exception_ptr(error{"a pool can't start its workers: " + what}); };
    }
    workers_.erase(id);
    scheduler_.start_failed();
}

void pool_state::limit_startup(worker_id id)
{
    auto& timer = workers_.at(id).patience = std::make_unique<asio::steady_timer>(executor_, startup_limit);
    timer->async_wait([weak = weak_from_this(), id](std::error_code error) {
        auto self = weak.lock();
        if (error || !self)
            return;
        self->turn_of_handler([&] {
            auto found = self->workers_.find(id);
            if (found == self->workers_.end() || !found->second.link->starting())
                return;
            self->last_trouble_ = [] { return std::make_exception_ptr(coproc::error{"a pool can't start its workers: one did not come up in time"}); };
            found->second.link->kill();
            self->remove(id, false, false);
        });
    });
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
        self->turn_of_handler([&] {
            auto found = self->workers_.find(id);
            if (found == self->workers_.end())
                return;
            found->second.link->send_signal(found->second.next_signal);
            if (std::exchange(found->second.next_signal, SIGKILL) == SIGTERM)
                self->lose_patience(id);
        });
    });
}

void pool_state::finish(job_id id)
{
    auto found = jobs_.find(id);
    if (found == jobs_.end())
        return;
    auto work = std::move(found->second);
    jobs_.erase(found);
    generators_ -= work->items != nullptr;
    release(*work);
    if (work->callee_goes_apart())
        drop_function(id, *work);
    jobs_to_destroy_.push_back(std::move(work));
}

// Its memory goes with its last task, which may be at it still.
void pool_state::drop_function(job_id id, job& work)
{
    for (auto& [at, worker] : workers_)
        if (worker.link->drop_function(id))
            worker.dirty = true;
    if (std::ranges::none_of(parcels_, [&](auto& p) { return p.of.get() == &work; }))
        work.callee.reset();
}

// Whoever waits for it goes on.
void pool_state::release(job& work)
{
    work.waiters->done = true;
    forget_timers(*work.waiters);
    if (auto* news = work.waiters->news.get())
        work.failure ? news->end() : news->complete();
    wake_all(work);
}

void pool_state::fail_all(complaint reason)
{
    failed_ = true;
    reason_ = reason ? std::move(reason) : [] { return std::make_exception_ptr(error{"the pool has failed"}); };
    closing_ = true;
    auto jobs = jobs_;
    for (auto& [id, work] : jobs) {
        work->failure = reason_();
        scheduler_.cancel_job(id);
    }
    scheduler_.close();
}

} // namespace coproc::detail
