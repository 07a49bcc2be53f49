// coproc::inline_workers: the same jobs, run where they are awaited.
#include "pool/pool_state.hpp"
#include "pool/task_reports.hpp"
#include "wire/exception.hpp"

#include <coproc/detail/entry.hpp>
#include <coproc/detail/generator_job.hpp>
#include <coproc/error.hpp>

#include <asio/cancellation_type.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <thread>

namespace coproc::detail {

// The elements of a job, one after the other, by the way of bytes, so that copies behave as with workers.
class inline_elements {
public:
    explicit inline_elements(job& work) : work_{work} {}

    /// Takes the next one from the input; false if there is none.
    bool next()
    {
        body_.clear();
        attempt_ = 0;
        if (work_.next(body_, 1, unknown_size) == 0)
            return false;
        ++count_;
        return true;
    }
    /// What is to be run: the same again for each try.
    const entry& prepare()
    {
        call_.reset();
        results_.clear();
        attachments_ = body_.attachments();
        in_.emplace(body_.data(), body_.size(), &attachments_);
        out_.emplace(results_);
        call_.emplace(invocation{*in_, *out_});
        if (!work_.callee_goes_apart())
            return decode_entry(*in_);
        if (!function_) {
            auto bytes = work_.callee;
            function_.emplace(std::span<const std::byte>{bytes->data(), bytes->size()}, bytes->attachments(), bytes);
        }
        std::uint64_t number = 0;
        in_->load_binary(&number, sizeof number);
        call_->function = &*function_;
        return function_->what();
    }
    invocation& call() { return *call_; }
    void keep()
    {
        input_archive from{results_.data(), results_.size(), &results_.attachments()};
        work_.results(from, index(), 1);
    }
    /// Of a generator: makes its next item, which is the job's next result; false at its end.
    task<bool> next_item()
    {
        if (!items_) {
            next();
            items_.emplace(prepare().generator(call()));
        }
        results_.clear();
        auto made = items_->next();
        if (!co_await std::move(made))
            co_return false;
        keep();
        co_return true;
    }
    [[nodiscard]] std::size_t index() const { return count_ - 1; }
    [[nodiscard]] std::size_t count() const { return count_; }
    [[nodiscard]] const buffer& body() const { return body_; }
    int& attempt() { return attempt_; }
    /// As it would come from a worker.
    [[nodiscard]] std::exception_ptr sent(const std::exception_ptr& e) const
    {
        buffer bytes;
        output_archive out{bytes};
        encode_exception(out, e, work_.name.c_str(), index());
        input_archive in{bytes.data(), bytes.size()};
        return decode_exception(in);
    }

private:
    job& work_;
    buffer body_, results_;
    std::vector<attachment> attachments_;
    std::optional<input_archive> in_;
    std::optional<output_archive> out_;
    std::optional<invocation> call_;
    std::optional<kept_function> function_;
    std::size_t count_ = 0;
    int attempt_ = 0;
    std::optional<stream<item_written>> items_; // last, for it refers to the call
};

// What a plain task reports; it is told when the task has ended.
class inline_reports final : public task_reports {
public:
    inline_reports(pool_state& pool, job& work, std::size_t index) noexcept : pool_{pool}, work_{work}, index_{index} {}

private:
    void send(double fraction, std::string_view text, bool at_once) override
    {
        std::scoped_lock lock{pool_.mutex_};
        if (!work_.waiters->done)
            pool_.note_report(work_, index_, fraction, std::string{text}, at_once);
    }

    pool_state& pool_;
    job& work_;
    std::size_t index_;
};

void pool_state::run_plain(job& work, inline_elements& elements, const entry& what)
{
    inline_reports reports{*this, work, elements.index()};
    std::exception_ptr failure;
    try {
        what.plain(elements.call());
    } catch (...) {
        failure = std::current_exception();
    }
    reports.flush();
    if (failure)
        std::rethrow_exception(failure);
}

// An element has ended well.
void pool_state::done_inline(job& work)
{
    {
        std::scoped_lock lock{mutex_};
        if (!work.waiters->done)
            note_done(work, 1);
    }
    tell_progress(work);
}

bool pool_state::claim_inline(const job& work)
{
    std::scoped_lock lock{mutex_};
    return work.waiters->runs_inline && !std::exchange(work.waiters->begun_inline, true);
}

// The input's own failure, if any, comes after those of its elements.
void pool_state::end_inline(job& work, std::size_t index, std::exception_ptr failure)
{
    turn([&] {
        if (work.waiters->done)
            return; // it was cancelled
        if (failure)
            fail(work, index, failure);
        release(work);
    });
}

// A try has failed. How long the next one waits; nothing if there is none, and then `on` says whether the job goes on.
std::optional<std::chrono::nanoseconds> pool_state::failed_inline(job& work, inline_elements& elements, std::exception_ptr e, bool& on)
{
    std::scoped_lock lock{mutex_};
    if (work.waiters->done)
        on = false;
    else if (worth_a_try(work, elements.body(), elements.attempt(), e))
        return wait_before(work, ++elements.attempt());
    else
        on = goes_on(work, elements.index(), e);
    return std::nullopt;
}

void pool_state::run_inline(job& work)
{
    inline_elements elements{work};
    std::exception_ptr failure;
    bool on = true;
    try {
        while (on && !done(work) && elements.next())
            for (std::optional<std::chrono::nanoseconds> again{0}; again;) {
                std::this_thread::sleep_for(*std::exchange(again, std::nullopt));
                std::exception_ptr e;
                try {
                    run_plain(work, elements, elements.prepare());
                    elements.keep();
                } catch (...) {
                    e = elements.sent(std::current_exception());
                }
                if (e)
                    again = failed_inline(work, elements, e, on);
                else
                    done_inline(work);
            }
    } catch (...) {
        failure = std::current_exception(); // of the input
    }
    end_inline(work, elements.count(), failure);
}

// One element, with its tries; false if the job ends with it.
task<bool> pool_state::run_inline_element(job& work, inline_elements& elements)
{
    bool on = true;
    asio::steady_timer timer{co_await asio::this_coro::executor};
    for (std::optional<std::chrono::nanoseconds> again{0}; again;) {
        if (auto time = *std::exchange(again, std::nullopt); time.count() > 0) {
            timer.expires_after(time);
            co_await timer.async_wait(asio::use_awaitable);
        }
        std::exception_ptr e;
        try {
            auto& what = elements.prepare();
            if (what.plain)
                run_plain(work, elements, what);
            else {
                auto end = what.coroutine(elements.call());
                co_await std::move(end);
            }
            elements.keep();
        } catch (...) {
            e = elements.sent(std::current_exception());
        }
        auto cancelled = co_await asio::this_coro::cancellation_state;
        if (e && cancelled.cancelled() != asio::cancellation_type::none)
            std::rethrow_exception(e);
        if (e)
            again = failed_inline(work, elements, e, on);
        else
            done_inline(work);
    }
    co_return on;
}

task<> pool_state::run_inline_coroutine(std::shared_ptr<job> work)
{
    inline_elements elements{*work};
    std::exception_ptr failure;
    try {
        for (bool on = true; on && !done(*work) && elements.next();) {
            auto end = run_inline_element(*work, elements);
            on = co_await std::move(end);
        }
    } catch (...) {
        failure = std::current_exception();
    }
    end_inline(*work, elements.count(), failure);
}

task<bool> pool_state::run_inline_generator(inline_elements& elements)
{
    std::exception_ptr e;
    try {
        auto made = elements.next_item();
        co_return co_await std::move(made);
    } catch (...) {
        e = std::current_exception();
    }
    auto cancelled = co_await asio::this_coro::cancellation_state;
    std::rethrow_exception(cancelled.cancelled() == asio::cancellation_type::none ? elements.sent(e) : e);
}

// One element, or one item of a generator, whose result is the stream's next item; nothing more of the input is read.
task<> pool_state::run_inline_step(std::shared_ptr<job> work)
{
    auto& elements = work->waiters->elements;
    if (!elements)
        elements = std::make_shared<inline_elements>(*work);
    std::exception_ptr failure;
    bool on = false;
    try {
        if (work->items) {
            auto made = run_inline_generator(*elements);
            on = co_await std::move(made);
            if (!on)
                done_inline(*work);
        } else if (elements->next()) {
            auto end = run_inline_element(*work, *elements);
            on = co_await std::move(end);
        } else if (work->more_later()) {
            on = true;
            auto change = wait(work);
            co_await std::move(change);
        }
    } catch (...) {
        failure = std::current_exception();
        on = false;
    }
    if (!on)
        end_inline(*work, elements->count(), failure);
}

} // namespace coproc::detail
