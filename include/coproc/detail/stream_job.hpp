// A call whose results are taken one by one while it goes on.
#pragma once

#include <coproc/async_result.hpp>
#include <coproc/detail/job.hpp>
#include <coproc/stream.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

namespace coproc::detail {

/// Completes with true when the job has its next item, which is then popped, and with false at its end; throws its failure,
/// once. Cancelling cancels the job.
/// Changes the job under the pool's lock, and lets the pool ask for its input again.
void change_job(pool_state& pool, job& work, const std::function<void()>& change);
void submit_stream(const std::shared_ptr<pool_state>& pool, std::shared_ptr<job> work);
task<bool> next_item(std::shared_ptr<pool_state> pool, std::shared_ptr<job> work);

/// Results that wait for their turn: that of their index, or that in which they came.
template <class T, bool Ordered>
class result_queue {
public:
    void put(std::size_t index, T value, std::size_t bytes)
    {
        place(index) = {std::move(value), bytes, true};
        bytes_ += bytes;
    }
    /// There is none for this index.
    void skip(std::size_t index)
    {
        if (Ordered)
            place(index) = {{}, 0, true};
        else
            ++taken_;
        drop_skipped();
    }
    [[nodiscard]] bool ready() const { return !waiting_.empty() && waiting_.front().there; }
    /// The next one.
    T pop()
    {
        T value = std::move(*waiting_.front().value);
        leave();
        drop_skipped();
        return value;
    }
    /// Elements that need no place any more.
    [[nodiscard]] std::size_t taken() const noexcept { return taken_; }
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

private:
    struct slot {
        std::optional<T> value;
        std::size_t bytes = 0;
        bool there = false;
    };

    slot& place(std::size_t index)
    {
        if (!Ordered)
            return waiting_.emplace_back();
        if (waiting_.size() <= index - taken_)
            waiting_.resize(index - taken_ + 1);
        return waiting_[index - taken_];
    }
    void leave()
    {
        bytes_ -= waiting_.front().bytes;
        waiting_.pop_front();
        ++taken_;
    }
    void drop_skipped()
    {
        while (ready() && !waiting_.front().value)
            leave();
    }

    std::deque<slot> waiting_;
    std::size_t taken_ = 0, bytes_ = 0;
};

/// The input of a job that comes from a stream, whose items are put here by a pump.
template <class F, class T>
class fed_job : public job {
public:
    fed_job(const call_options& asked, const F& f) : job{asked}
    {
        static_assert(check_call<F, T>());
        coroutine = is_coroutine_call<F, T>;
        callee = std::make_shared<buffer>(make_message());
        output_archive archive{*callee};
        encode_task_function<F, T>(archive, f);
    }

    std::size_t next(buffer& body, std::size_t most, std::size_t bytes) override
    {
        if (items_.empty() && error_)
            std::rethrow_exception(error_);
        put_function(body);
        output_archive archive{body};
        std::size_t count = 0;
        for (; count < most && !items_.empty() && (count == 0 || body.size() < bytes); ++count) {
            T item = std::move(items_.front());
            items_.pop_front();
            save_arguments(archive, parameters_of<F, T>{}, std::move(item));
        }
        return count;
    }
    bool more_later() const override { return !ended_ || error_ || !items_.empty(); }

    // For change_job.
    void feed(T item) { items_.push_back(std::move(item)); }
    void end(std::exception_ptr error)
    {
        ended_ = true;
        error_ = std::move(error);
    }

private:
    std::deque<T> items_;
    bool ended_ = false;
    std::exception_ptr error_;
};

/// One call for each element of an input, whose results are a stream. Input: a range_job, or another job with the function
/// next and a constructor like its.
template <class R, class Input, bool Ordered, bool Collect>
class stream_job final : public Input {
    static_assert(!std::is_void_v<R>, "a stream of results needs a function that returns something");

public:
    using item = item_of<R, Collect>;
    using Input::Input;
    ~stream_job() noexcept override {}

    void results(input_archive& from, std::size_t first, std::size_t count) override
    {
        for (std::size_t i = first; i < first + count; ++i) {
            auto before = from.remaining();
            auto value = load_item<R, Collect>(from);
            queue_.put(i, std::move(value), before - from.remaining());
        }
    }
    bool keep_error(std::size_t index, const std::exception_ptr& e) override
    {
        if constexpr (Collect)
            queue_.put(index, item{e}, 0);
        else if (this->options.on_error == error_policy::finish_all)
            queue_.skip(index);
        return Collect;
    }

    bool ready() const override { return queue_.ready(); }
    std::size_t pop() override
    {
        current_ = queue_.pop();
        return queue_.taken();
    }
    bool full() const override { return queue_.ready() && queue_.bytes() > most_bytes; }
    item take()
    {
        ++given_;
        return *std::exchange(current_, std::nullopt);
    }
    /// Items that were taken.
    [[nodiscard]] std::size_t given() const noexcept { return given_; }

private:
    static constexpr std::size_t most_bytes = 32 << 20;

    result_queue<item, Ordered> queue_;
    std::optional<item> current_;
    std::size_t given_ = 0;
};

/// The pool behind a stream; its job is cancelled with it.
template <class Job>
class pool_source final : public stream_source<typename Job::item> {
public:
    pool_source(std::shared_ptr<pool_state> pool, std::shared_ptr<Job> job) : pool_{std::move(pool)}, job_{std::move(job)} {}
    ~pool_source() override { cancel_job(*pool_, *job_); }

    task<std::optional<typename Job::item>> next() override
    {
        auto there = next_item(pool_, job_); // named: see "known traps" in the design page
        if (co_await std::move(there))
            co_return job_->take();
        co_return std::nullopt;
    }

private:
    std::shared_ptr<pool_state> pool_;
    std::shared_ptr<Job> job_;
};

/// The same, with an input that is a stream: a coroutine on the loop of the first next() reads it and feeds the job, at most
/// in_flight items ahead of what was taken.
template <class Job, class T>
class fed_source final : public stream_source<typename Job::item> {
public:
    fed_source(std::shared_ptr<pool_state> pool, std::shared_ptr<Job> job, stream<T> input)
        : pump_{std::make_shared<pump>(std::move(pool), std::move(job), std::move(input))}
    {
    }
    ~fed_source() override
    {
        pump_->ended = true;
        cancel_job(*pump_->pool, *pump_->work);
        pump_->pool = nullptr; // its loop may run no more
        pump_->work = nullptr;
        pump_->input = {};
        pump_->stop.emit(asio::cancellation_type::terminal);
    }

    task<std::optional<typename Job::item>> next() override
    {
        auto self = pump_;
        if (!self->room) {
            auto executor = co_await asio::this_coro::executor;
            self->room.emplace(executor, asio::steady_timer::time_point::max());
            asio::co_spawn(executor, run(self), asio::bind_cancellation_slot(self->stop.slot(), [self](std::exception_ptr) {}));
        }
        auto there = next_item(self->pool, self->work);
        if (!co_await std::move(there))
            co_return std::nullopt;
        auto item = self->work->take();
        self->room->cancel();
        co_return item;
    }

private:
    struct pump {
        pump(std::shared_ptr<pool_state> p, std::shared_ptr<Job> j, stream<T> in) : pool{std::move(p)}, work{std::move(j)}, input{std::move(in)} {}
        std::shared_ptr<pool_state> pool;
        std::shared_ptr<Job> work;
        stream<T> input;
        std::optional<asio::steady_timer> room; ///< cancelled when an item was taken
        asio::cancellation_signal stop;
        std::size_t fed = 0;
        bool ended = false;
    };

    static task<> run(std::shared_ptr<pump> self)
    {
        std::exception_ptr error;
        try {
            for (;;) {
                while (!self->ended && self->fed - self->work->given() >= self->work->options.in_flight) {
                    auto room = wait(*self->room);
                    co_await std::move(room);
                }
                if (self->ended)
                    co_return;
                auto next = self->input.next();
                auto item = co_await std::move(next);
                if (self->ended)
                    co_return;
                if (!item)
                    break;
                ++self->fed;
                change_job(*self->pool, *self->work, [&] { self->work->feed(std::move(*item)); });
            }
        } catch (...) {
            error = std::current_exception();
        }
        if (self->ended)
            co_return;
        change_job(*self->pool, *self->work, [&] { self->work->end(error); });
    }
    static task<> wait(asio::steady_timer& timer)
    {
        try {
            auto end = timer.async_wait(asio::use_awaitable);
            co_await std::move(end);
        } catch (const std::system_error&) { // an item was taken, or the stream is gone
        }
    }

    std::shared_ptr<pump> pump_;
};

} // namespace coproc::detail
