#include "pool/worker_coroutines.hpp"

#include "os/calls.hpp"

#include <coproc/error.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/co_spawn.hpp>
#include <asio/post.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>

#include <poll.h>
#include <utility>

namespace coproc::detail {
namespace {

constexpr int share = 100; // handlers that are called before the worker looks into its pipe again
constexpr std::uint64_t items_share = 100; // items that a generator makes without a pause before others have their turn
constexpr std::size_t most_lent = 16; // items in memory files that wait for the pool: each has a descriptor

} // namespace

bool worker_coroutines::readable() const
{
    pollfd pipe{setup_.tasks->get(), POLLIN, 0};
    return os::poll(&pipe, 1, 0) > 0;
}

void worker_coroutines::begin(const claimed_task& task, const input_archive& in, std::vector<attachment> attachments,
                              std::span<const std::byte> body, bool body_lasts)
{
    drop_read_items();
    if (!turns_) {
        turns_.emplace();
        traced_.emplace();
    }
    try {
        watch();
        spawn(task, in, std::move(attachments), body, body_lasts);
    } catch (...) {
        rest_if_none();
        throw;
    }
}

void worker_coroutines::spawn(claimed_task task, const input_archive& in, std::vector<attachment> attachments,
                              std::span<const std::byte> body, bool body_lasts)
{
    auto number = task.header.number;
    auto& c = *running_.emplace(number, std::make_unique<coroutine>()).first->second;
    try {
        c.attachments = std::move(attachments);
        body = body.last(in.remaining());
        if (!body_lasts && setup_.concurrency > 1) { // alone, nothing is read before it ends
            c.copy.assign(body.begin(), body.end());
            body = c.copy;
        }
        c.in.emplace(body.data(), body.size(), &c.attachments);
        c.out.emplace(c.result);
        invocation call{*c.in, *c.out};
        call.count = task.header.count;
        call.word = &channel_.page().word(number);
        call.stop_word = worker_page::stop_word(number);
        call.function = task.function.get();
        invocation* place = &c.call.emplace(call);
        if (setup_.concurrency == 1) {
            place = new (channel_.page().call_place(number)) invocation{call};
            c.known.emplace(*call.word, call.stop_word);
        }
        task.call = place;
        c.task = task;
        if (setup_.concurrency == 1)
            c.reports.emplace(channel_, c.task);
        asio::co_spawn(this_thread_loop(), task.what->generator ? run_generator(c, *place) : task.what->coroutine(*place),
                       asio::bind_cancellation_slot(c.cancel.slot(), [this, &c](std::exception_ptr failure) { ended(c, failure); }));
    } catch (...) {
        running_.erase(number);
        throw;
    }
}

task<> worker_coroutines::run_generator(coroutine& c, invocation& call)
{
    auto items = c.task.what->generator(call);
    for (;;) {
        auto next = items.next();
        auto item = co_await std::move(next);
        if (!item)
            break;
        c.made.bytes += c.result.size();
        if (auto file = channel_.send_item(c.task, c.made.count, c.result))
            lent_.push_back({c.task.header.number, c.made.count, std::move(file)});
        if (++c.made.count % items_share == 0 && setup_.concurrency > 1) {
            auto turn = asio::post(asio::use_awaitable);
            co_await std::move(turn);
        }
        call.check_stop();
        if (!may_make_item(c)) {
            auto room = wait_for_room(c);
            co_await std::move(room);
        }
    }
}

task<> worker_coroutines::wait_for_room(coroutine& c)
{
    asio::steady_timer timer{this_thread_loop(), asio::steady_timer::time_point::max()};
    struct known { // while the timer lives
        known(made_items& items, asio::steady_timer& timer) : of{items} { of.room = &timer; }
        known(const known&) = delete;
        known& operator=(const known&) = delete;
        ~known() { of.room = nullptr; }
        made_items& of;
    } until_here{c.made, timer};
    while (!may_make_item(c)) {
        std::error_code ignored; // there may be room, or it is to stop
        auto change = timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        co_await std::move(change);
        c.task.call->check_stop();
    }
}

bool worker_coroutines::may_make_item(coroutine& c)
{
    auto& page = channel_.page();
    drop_read_items();
    if (lent_.size() >= most_lent) {
        page.await_items_read(lent_.front().number);
        drop_read_items();
    }
    return lent_.size() < most_lent && !page.half_full_for_now()
           && page.may_make_item(c.task.header.number, c.made.count, c.made.bytes);
}

void worker_coroutines::drop_read_items()
{
    std::erase_if(lent_, [&](auto& item) { return channel_.page().item_was_read(item.number, item.before); });
}

// Those that look in vain wait again.
void worker_coroutines::go_on_with_items()
{
    for (auto& [number, c] : running_)
        if (c->made.room)
            c->made.room->cancel();
}

void worker_coroutines::ended(coroutine& c, const std::exception_ptr& failure)
{
    try {
        if (failure)
            channel_.fail(c.task, c.result, failure, c.task.call->done);
        c.known.reset();
        if (c.reports)
            c.reports->flush();
        c.reports.reset();
        channel_.answer(c.task, c.result);
        auto found = running_.find(c.task.header.number);
        ended_.push_back(std::move(found->second));
        running_.erase(found);
    } catch (...) {
        broken_ = std::current_exception();
    }
}

void worker_coroutines::run(bool may_wait)
{
    auto failure = turns_->given_up() ? std::make_exception_ptr(error{"an exception left the event loop that the task ran on"}) : run_handlers(may_wait);
    if (failure)
        answer_all(failure);
    ended_.clear();
    if (broken_)
        std::rethrow_exception(broken_);
    rest_if_none();
}

// What a handler throws is one's that a task put there itself: nobody can say whose, nor what waits for it in vain.
std::exception_ptr worker_coroutines::run_handlers(bool may_wait)
{
    try {
        int handlers = 0;
        while (handlers < share && turns_->poll_one())
            ++handlers;
        if (handlers == 0 && may_wait) {
            channel_.rest();
            if (!turns_->run_one())
                throw usage_error{"a task has stopped the event loop that it runs on"};
        }
        return nullptr;
    } catch (...) {
        auto failure = std::current_exception();
        turns_->give_up();
        return failure;
    }
}

void worker_coroutines::rest_if_none()
{
    if (!running_.empty())
        return;
    turns_.reset();
    traced_.reset();
}

void worker_coroutines::answer_all(const std::exception_ptr& failure)
{
    while (!running_.empty() && !broken_)
        ended(*running_.begin()->second, failure);
}

void worker_coroutines::give_up() noexcept
{
    if (turns_ && !turns_->given_up())
        turns_->give_up();
    running_.clear();
    if (readiness_)
        static_cast<void>(readiness_->release());
    readiness_.reset();
}

void worker_coroutines::loop_ends(asio::execution_context&)
{
    if (readiness_)
        static_cast<void>(readiness_->release());
    readiness_.reset();
}

// Watched from the first coroutine on.
void worker_coroutines::watch()
{
    if (!watched_) {
        os::watch_set set;
        set.add_readable(setup_.attention->get(), 0);
        if (setup_.concurrency > 1)
            set.add_readable(setup_.tasks->get(), 0);
        watched_ = std::move(set);
    }
    if (readiness_)
        return;
    readiness_.emplace(this_thread_loop(), watched_->number());
    asio::use_service<loop_users>(this_thread_loop()).add(weak_from_this());
    arm();
}

void worker_coroutines::arm()
{
    readiness_->async_wait(asio::posix::descriptor_base::wait_read, [weak = weak_from_this()](std::error_code error) {
        auto self = weak.lock();
        if (!self || error)
            return;
        self->tokens_.clear();
        self->watched_->collect(self->tokens_);
        self->arm();
        self->cancel_stopped();
        self->go_on_with_items();
    });
}

// What is cancelled may end at once, and others with it.
void worker_coroutines::cancel_stopped()
{
    std::vector<std::uint64_t> stopped;
    for (auto& [number, t] : running_)
        if (!t->cancelled && channel_.page().word(number).load(std::memory_order_relaxed) == worker_page::stop_word(number))
            stopped.push_back(number);
    for (auto number : stopped)
        if (auto found = running_.find(number); found != running_.end()) {
            found->second->cancelled = true;
            found->second->cancel.emit(asio::cancellation_type::terminal);
        }
}

} // namespace coproc::detail
