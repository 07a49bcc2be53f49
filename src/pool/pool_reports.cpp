// What the workers do is told to the scheduler.
#include "pool/pool_state.hpp"

#include "wire/exception.hpp"

#include <coproc/detail/generator_job.hpp>
#include <coproc/error.hpp>

#include <algorithm>
#include <cstring>

namespace coproc::detail {
namespace {

// After so long without a ring the pool looks into the rings itself, for the result of a short task that waits while a
// long one runs, or for an item of a generator that goes on computing (see worker_channel.hpp). Far above the doorbell's own pace, far below what anybody notices.
constexpr std::chrono::milliseconds glance_after{2};

} // namespace

// Waits for the set while tasks are out, workers come up or are told to stop.
void pool_state::listen()
{
    bool wanted = scheduler_.jobs() > 0 || scheduler_.waits_for_end() || (closing_ && !workers_.empty())
                  || std::ranges::any_of(workers_, [](auto& w) { return w.second.link->starting() || w.second.patience; });
    if (wanted == listening_)
        return;
    listening_ = wanted;
    if (!wanted)
        return readiness_->cancel();
    readiness_->async_wait(asio::posix::descriptor_base::wait_read, [weak = weak_from_this()](std::error_code error) {
        if (auto self = weak.lock(); self && error != asio::error::operation_aborted)
            self->turn_of_handler([&] { self->collect(); });
    });
}

void pool_state::collect()
{
    listening_ = false;
    look_around();
}

void pool_state::look_around()
{
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
        if (what == wakeup::startup) {
            link.advance_startup();
            if (!link.starting()) {
                if (!link.on_its_way_out())
                    found->second.patience.reset();
                scheduler_.worker_came_up(id);
            }
        }
    } catch (const std::exception& e) {
        last_trouble_ = [text = std::string{e.what()}] { return std::make_exception_ptr(error{"a pool can't start its workers: " + text}); };
        link.kill();
        return remove(id, false, false);
    }
    look(link, what == wakeup::doorbell);
    if (what == wakeup::ended)
        if (auto status = link.poll_end())
            ended(link, *status);
}

void pool_state::look(worker_link& link, bool rang)
{
    bool any = false;
    try {
        any = link.read_results([&](const frame& header, std::span<const std::byte> body, std::vector<attachment>& attachments) {
            arrived(link, header, body, attachments);
        });
    } catch (const std::exception& e) {
        // What it says makes no sense any more: it is stopped, and its death is dealt with like any other.
        last_trouble_ = [what = std::string{e.what()}] { return std::make_exception_ptr(error{"a worker sent nonsense: " + what}); };
        link.condemn();
    }
    link.pass_output_on(); // before whoever waits for the results goes on
    workers_.at(link.id()).dirty = true;
    // What follows the ring too soon for another one is found by a glance, even if it's an earlier look that found what the
    // ring was for.
    if ((any || rang) && (generators_ > 0 || scheduler_.has_several(link.id()))) {
        rang_since_ = rang_since_ || rang;
        look_again_soon();
    }
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
        self->turn_of_handler([&] {
            self->glance_is_set_ = false;
            if (std::exchange(self->rang_since_, false))
                self->look_again_soon();
            for (auto& [id, worker] : self->workers_)
                self->look(*worker.link);
        });
    });
}

// The task that a worker speaks of.
pool_state::parcel& pool_state::answered(worker_link& link, std::uint64_t number)
{
    auto* p = find(workers_.at(link.id()).by_number[link.slot(number)]);
    if (!p || p->at != link.id() || p->number != number || !link.begun(number))
        throw protocol_error{"a worker answered a task that it does not have"};
    return *p;
}

void pool_state::item_came(worker_link& link, const frame& header, input_archive& in)
{
    auto& p = answered(link, header.number);
    if (!p.of->items)
        throw protocol_error{"a worker sent an item of a task that is no generator"};
    if (!scheduler_.wanted(p.id) || p.timed_out)
        return;
    if (header.time != p.of->items->came)
        throw protocol_error{"a worker's items are out of order"};
    p.of->items->add(in.remaining());
    auto index = scheduler_.place(p.id).first;
    try {
        p.of->results(in, index, 1);
    } catch (...) { // it can't be decoded: that is this call's error, and its task is not wanted any more
        fail(*p.of, index, std::current_exception());
        scheduler_.abandon(p.id, index);
    }
    announce(*p.of);
}

// Some were taken: the worker may make more.
void pool_state::allow_items(job& work)
{
    if (!work.items->allow_more())
        return;
    auto* p = find(work.items->chunk);
    if (p && p->of.get() == &work && p->at != 0)
        workers_.at(p->at).link->allow_items(p->number, work.items->allowed, work.items->allowed_bytes);
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
        return fail_all([bytes = std::vector<std::byte>(body.begin(), body.end())] {
            input_archive again{bytes.data(), bytes.size()};
            return decode_exception(again);
        });
    }
    if (header.kind == frame_kind::leaving)
        return leaves(link);
    if (header.kind == frame_kind::item)
        return item_came(link, header, in);
    if (header.kind == frame_kind::report) {
        auto& p = answered(link, header.number);
        if (scheduler_.wanted(p.id) && !p.timed_out)
            report_came(*p.of, scheduler_.place(p.id).first + std::min<std::size_t>(header.count, p.count - 1), in);
        return;
    }
    if (header.kind != frame_kind::result && header.kind != frame_kind::failure && header.kind != frame_kind::usage)
        throw protocol_error{"a worker sent a frame that only pools send"};
    auto* p = &answered(link, header.number);
    chunk_id id = p->id;
    if (header.kind == frame_kind::usage)
        return measured(*p, body);
    auto place = scheduler_.place(id);
    bool wanted = scheduler_.wanted(id);
    if ((header.flags & frame::retires) != 0)
        scheduler_.retire(link.id());
    if (header.kind == frame_kind::result) {
        try {
            if (header.count != p->count)
                throw protocol_error{"a worker returned " + std::to_string(header.count) + " results for " + std::to_string(p->count) + " calls"};
            if (wanted && !p->timed_out && !p->of->items)
                p->of->results(in, place.first, p->count);
        } catch (...) {
            return lost(id, place.first, std::current_exception());
        }
        if (p->timed_out)
            return lost(id, place.first, nullptr);
        if (wanted)
        {
            counts_.done += p->count;
            note_done(*p->of, p->count);
        }
        announce(*p->of);
        discard(id);
        return scheduler_.finished(id, header.time);
    }
    std::size_t index = place.first + std::min<std::size_t>(header.count, p->count - 1);
    std::exception_ptr e;
    if (wanted)
        try {
            e = decode_exception(in);
        } catch (...) {
            e = std::current_exception();
        }
    lost(id, index, e);
}

// What was sent there since comes back by the scheduler's wish.
void pool_state::leaves(worker_link& link)
{
    if (link.on_its_way_out())
        return;
    link.leaves();
    scheduler_.left(link.id());
    be_patient(link.id(), workers_.at(link.id()));
}

void pool_state::measured(parcel& p, std::span<const std::byte> body)
{
    task_statistics usage;
    if (body.size() != sizeof usage || !p.of->options.measure)
        throw protocol_error{"a worker measured what it was not asked for"};
    std::memcpy(&usage, body.data(), sizeof usage);
    p.of->usage = usage;
    counts_.measured += usage;
}

void pool_state::ended(worker_link& link, const exit_status& status)
{
    look(link); // what it finished before its end is in the ring
    bool orderly = link.on_its_way_out();
    if (!orderly && !closing_)
        ++counts_.replaced;
    bool cost_a_task = false;
    for (chunk_id id : scheduler_.in_flight(link.id())) {
        auto* p = find(id);
        if (!p || p->at != link.id() || !link.begun(p->number))
            continue;
        cost_a_task = true;
        auto place = scheduler_.place(id);
        worker_crashed::report report;
        report.signal = status.signal();
        report.exit_code = status.code();
        report.pid = link.pid();
        report.index = place.first + std::min(link.calls_done(p->number), p->count - 1);
        report.task_name = p->of->name;
        report.last_output = link.last_output();
        std::size_t index = report.index;
        lost(id, index, std::make_exception_ptr(worker_crashed{std::move(report)}), &pool_statistics::crashed);
    }
    if (!orderly && !cost_a_task && !link.condemned())
        last_trouble_ = [status, pid = link.pid()] {
            return std::make_exception_ptr(error{"the pool's workers end before they come to a task: the last one, " + std::to_string(pid)
                                                 + (status.signal() != 0 ? ", was killed by signal " + std::to_string(status.signal())
                                                                         : ", exited with code " + std::to_string(status.code()))});
        };
    remove(link.id(), orderly, cost_a_task);
}

void pool_state::remove(worker_id id, bool orderly, bool cost_a_task)
{
    auto found = workers_.find(id);
    for (chunk_id lost : scheduler_.in_flight(id))
        if (auto* p = find(lost)) { // it is nowhere until it is sent elsewhere
            p->at = 0;
            p->clock.reset();
        }
    to_destroy_.push_back(std::move(found->second.link));
    workers_.erase(found);
    scheduler_.worker_ended(id, orderly, cost_a_task);
}

} // namespace coproc::detail
