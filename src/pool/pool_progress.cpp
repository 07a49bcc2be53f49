// on_progress: what is known of a call's progress gathers with its job, and whoever awaits the job tells it.
#include "pool/pool_state.hpp"
#include "pool/progress_news.hpp"

#include <coproc/progress.hpp>

#include <utility>

namespace coproc::detail {
namespace {

constexpr std::chrono::milliseconds pace{50}; // as for reports: 20 calls a second
constexpr std::size_t most_events = 1000;     // that wait while nobody awaits the call

std::optional<std::size_t> total_of(const job& work) { return work.size == unknown_size ? std::nullopt : std::optional{work.size}; }

} // namespace

void progress_news::add(event what)
{
    // Counts that follow each other are one.
    if (!what.index && !events_.empty() && !events_.back().index)
        events_.back() = what;
    else
        events_.push_back(what);
    if (!what.index)
        last_count_ = std::move(what);
    if (events_.size() > most_events)
        events_.pop_front();
}

void progress_news::add_done(std::size_t count, std::optional<std::size_t> total)
{
    done_ += count;
    add({done_, total, {}, 0, {}});
}

void progress_news::add_report(std::size_t index, double fraction, std::string text, bool at_once, std::optional<std::size_t> total)
{
    add({done_, total, index, fraction, std::move(text)});
    if (at_once)
        due_ = clock::time_point::min();
}

void progress_news::complete()
{
    if (!last_count_ || last_count_->done != done_ || last_count_->total != done_)
        add({done_, done_, {}, 0, {}});
    end();
}

std::deque<progress_news::event> progress_news::take()
{
    timer.reset();
    due_ = clock::now() + pace;
    return std::exchange(events_, {});
}

// Elements have ended for good.
void pool_state::note_done(job& work, std::size_t count)
{
    if (auto* news = work.waiters->news.get()) {
        news->add_done(count, total_of(work));
        spread(work);
    }
}

void pool_state::note_report(job& work, std::size_t index, double fraction, std::string text, bool at_once)
{
    if (auto* news = work.waiters->news.get()) {
        news->add_report(index, fraction, std::move(text), at_once, total_of(work));
        spread(work);
    }
}

void pool_state::report_came(job& work, std::size_t index, input_archive& from)
{
    double fraction = 0;
    bool at_once = false;
    std::string text;
    load_value(from, fraction, at_once, text);
    note_report(work, index, fraction, std::move(text), at_once);
}

// Whoever awaits the job tells the news, now or when they are due.
void pool_state::spread(job& work)
{
    auto& news = *work.waiters->news;
    if (news.due())
        return wake_for_news(work);
    if (news.timer || !executor_)
        return;
    news.timer = std::make_unique<asio::steady_timer>(executor_, *news.due_at());
    news.timer->async_wait([weak = weak_from_this(), id = work.waiters->id](std::error_code error) {
        auto self = weak.lock();
        if (error || !self)
            return;
        self->turn_of_handler([&] {
            if (auto found = self->jobs_.find(id); found != self->jobs_.end())
                self->wake_for_news(*found->second);
        });
    });
}

void pool_state::wake_all(job& work)
{
    for (auto& waiter : work.waiters->waiting.take())
        to_wake_.emplace_back(std::move(waiter), std::error_code{});
}

void pool_state::wake_for_news(job& work)
{
    for (auto& waiter : work.waiters->waiting.take_those_for_news())
        to_wake_.emplace_back(std::move(waiter), std::error_code{});
}

void pool_state::tell_progress(job& work)
{
    if (!work.options.on_progress)
        return;
    std::deque<progress_news::event> events;
    {
        std::scoped_lock lock{mutex_};
        if (work.waiters && work.waiters->news && work.waiters->news->due())
            events = work.waiters->news->take();
    }
    for (auto& e : events)
        work.options.on_progress({e.done, e.total, e.index, e.fraction, e.text});
}

} // namespace coproc::detail
