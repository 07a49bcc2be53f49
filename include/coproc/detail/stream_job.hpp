// A call whose results are taken one by one while it goes on.
#pragma once

#include <coproc/async_result.hpp>
#include <coproc/detail/job.hpp>
#include <coproc/stream.hpp>

#include <deque>
#include <memory>
#include <optional>
#include <utility>

namespace coproc::detail {

/// Completes with true when the job has its next item, which is then popped, and with false at its end; throws its failure,
/// once. Cancelling cancels the job.
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
    item take() { return *std::exchange(current_, std::nullopt); }

private:
    static constexpr std::size_t most_bytes = 32 << 20;

    result_queue<item, Ordered> queue_;
    std::optional<item> current_;
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

} // namespace coproc::detail
