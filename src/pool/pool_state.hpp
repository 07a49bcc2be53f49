// A pool behind its handle: the scheduler, the links to the workers, and a lock.
//
// Everything happens in turns. A turn takes the lock, tells the scheduler what happened, carries out what it decides
// until it has no more to say, writes to the workers, releases the lock and only then wakes who waits: so nobody's code
// runs under the lock but that of arguments and results (their serialization, an input range's iterators).
#pragma once

#include "pool/progress_news.hpp"
#include "pool/recent_map.hpp"
#include "pool/scheduler.hpp"
#include "pool/turn_mutex.hpp"
#include "pool/waiters.hpp"
#include "pool/worker_link.hpp"

#include <coproc/async_result.hpp>
#include <coproc/detail/job.hpp>
#include <coproc/error.hpp>
#include <coproc/pool_options.hpp>
#include <coproc/pool_statistics.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/steady_timer.hpp>

#include <atomic>
#include <exception>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace coproc::detail {

class inline_elements;
class inline_reports;

struct job_waiters { // what the pool knows of a job
    job_id id = 0;
    bool done = false;
    bool runs_inline = false, begun_inline = false;
    std::shared_ptr<inline_elements> elements; ///< of an inline stream
    std::unique_ptr<progress_news> news; ///< if there is an on_progress
    std::size_t failed_at = unknown_size;
    std::chrono::steady_clock::time_point until{}; ///< its deadline, if it has one
    std::unique_ptr<asio::steady_timer> deadline;
    waiter_list waiting;
};

class pool_state : public loop_user, public std::enable_shared_from_this<pool_state> {
public:
    pool_state(pool_options options, bool in_line);
    ~pool_state() override;
    pool_state(const pool_state&) = delete;
    pool_state& operator=(const pool_state&) = delete;

    [[nodiscard]] int size() const noexcept { return size_; }
    [[nodiscard]] bool in_line() const noexcept { return in_line_; }

    /// Binds the pool to a loop unless it has one, and starts its workers.
    void bind(const asio::any_io_executor& executor);
    /// Throws usage_error when closed, the reason when the pool has failed. Once for each job.
    void submit(const std::shared_ptr<job>& work);
    [[nodiscard]] bool done(const job& work);
    /// False if it has ended already.
    bool cancel(job& work, const char* why);
    /// True for the first who asks: he is to run the job, the others wait.
    [[nodiscard]] bool claim_inline(const job& work);
    void run_inline(job& work);
    task<> run_inline_coroutine(std::shared_ptr<job> work);
    /// One call of a stream.
    task<> run_inline_step(std::shared_ptr<job> work);

    /// Changes a stream's job under the lock; its input is asked again.
    void change(job& work, const std::function<void()>& how);
    /// Calls `then` on the executor once the job has ended.
    void notify(const std::shared_ptr<job>& work, const asio::any_io_executor& executor, std::function<void()> then);
    /// Takes the next item of a stream, if it is there.
    [[nodiscard]] bool pop(job& work);

    void resize(int workers);
    void recycle();
    [[nodiscard]] pool_statistics statistics();
    [[nodiscard]] std::optional<task_statistics> usage_of(const job& work);

    void close();
    /// Calls of which no task has begun.
    void cancel_pending(const char* why);
    void terminate(const char* why);
    /// The first exception of a finalizer.
    [[nodiscard]] std::exception_ptr finalizer_failure();

    void loop_rests(asio::execution_context& loop) override;
    void loop_ends(asio::execution_context& loop) override;

    /// Completes when the job has ended, when the next item of a stream is there, or when the pool is closed and empty (work
    /// null). `for_news`: also when there is progress to be told.
    task<> wait(std::shared_ptr<job> work, bool for_news = false);
    /// Calls on_progress for what is due; throws what that throws. Not under the lock.
    void tell_progress(job& work);

private:
    enum class phase { runs, asked, terminated, delayed };
    struct parcel { // a chunk with its bytes
        chunk_id id = 0;
        std::shared_ptr<job> of;
        buffer body;
        std::shared_ptr<bulk_file> keep;
        std::size_t count = 0;
        worker_id at = 0;         ///< the worker that has it, if any
        std::uint64_t number = 0; ///< there
        int attempt = 0;
        bool timed_out = false;
        phase now = phase::runs;
        std::uint64_t begun = 0; ///< when it was first seen to run
        std::unique_ptr<asio::steady_timer> clock; ///< of its phase
    };
    struct seat { // a worker's place
        std::unique_ptr<worker_link> link;
        std::vector<chunk_id> by_number; ///< for each slot of the link
        bool dirty = false;
        std::unique_ptr<asio::steady_timer> patience; ///< with a worker that comes up, or was told to stop
        int next_signal = 0;
    };

    using complaint = std::function<std::exception_ptr()>; ///< a new exception for each caller

    struct aftermath;
    template <class F>
    std::exception_ptr locked(F f, aftermath& after);
    template <class F>
    void turn(F f);
    template <class F>
    void turn_of_handler(F f);
    [[nodiscard]] bool closed() const noexcept { return scheduler_.closed() || (in_line_ && closing_); }
    void carry_out();
    void carry_out(const action& a);
    void take(const action& a);
    void send(parcel& p, worker_id to);
    parcel* find(chunk_id id)
    {
        std::size_t index = slot_map<parcel>::index(id);
        return index < parcels_.size() && parcels_[index].id == id ? &parcels_[index] : nullptr;
    }
    parcel& answered(worker_link& link, std::uint64_t number);
    void discard(chunk_id id);
    void start_worker(std::size_t place);
    void stop_worker(worker_id id);
    [[nodiscard]] std::vector<std::size_t> places_for(const job& work) const;
    [[nodiscard]] pool_statistics count() const;
    void limit_startup(worker_id id);
    void lose_patience(worker_id id);
    void listen();
    void collect();
    void look_around();
    void reported(worker_id id, wakeup what);
    void look(worker_link& link, bool rang = false);
    void arrived(worker_link& link, const frame& header, std::span<const std::byte> body, std::vector<attachment>& attachments);
    void leaves(worker_link& link);
    void measured(parcel& p, std::span<const std::byte> body);
    void ended(worker_link& link, const exit_status& status);
    void remove(worker_id id, bool orderly, bool cost_a_task);
    void fail(job& work, std::size_t index, std::exception_ptr e);
    void lost(chunk_id id, std::size_t index, std::exception_ptr e, std::uint64_t pool_statistics::*kind = nullptr);
    [[nodiscard]] static bool worth_a_try(const job& work, const buffer& body, int attempt, std::exception_ptr& e);
    [[nodiscard]] bool goes_on(job& work, std::size_t index, const std::exception_ptr& e);
    void start_clock(parcel& p, std::chrono::nanoseconds time);
    void clock_rang(chunk_id id);
    void time_is_up(chunk_id id);
    void start_deadline(job_id id, job& work);
    void finish(job_id id);
    void drop_function(job_id id, job& work);
    void fail_all(complaint reason);
    void release(job& work);
    void announce(job& work);
    void wake_all(job& work);
    void note_done(job& work, std::size_t count);
    void note_report(job& work, std::size_t index, double fraction, std::string text, bool at_once);
    void report_came(job& work, std::size_t index, input_archive& from);
    void spread(job& work);
    void wake_for_news(job& work);
    void item_came(worker_link& link, const frame& header, input_archive& in);
    void allow_items(job& work);
    void look_again_soon();
    void flush(seat& worker);
    task<bool> run_inline_element(job& work, inline_elements& elements);
    friend class inline_reports;
    void run_plain(job& work, inline_elements& elements, const entry& what);
    void done_inline(job& work);
    static task<bool> run_inline_generator(inline_elements& elements);
    void end_inline(job& work, std::size_t index, std::exception_ptr failure);
    std::optional<std::chrono::nanoseconds> failed_inline(job& work, inline_elements& elements, std::exception_ptr e, bool& on);
    [[nodiscard]] static std::chrono::nanoseconds wait_before(const job& work, int attempt);
    template <class Slot>
    bool wait_for(const std::shared_ptr<job>& work, std::unique_ptr<waiter> w, Slot slot, bool for_news);
    void cancel_wait(const std::shared_ptr<job>& work, std::uint64_t id);
    static void forget_timers(job_waiters& of);
    void unbind();
    void know(asio::execution_context& loop);
    void be_patient(worker_id id, seat& worker);

    turn_mutex mutex_;
    asio::any_io_executor executor_;
    os::watch_set watched_;
    asio::execution_context* known_loop_ = nullptr; ///< the last one that will tell us of its end
    std::optional<asio::posix::stream_descriptor> readiness_; ///< of the watch set
    bool listening_ = false;
    std::vector<std::uint64_t> tokens_;
    pool_options options_;
    bool in_line_;
    std::atomic<int> size_;
    bool closing_ = false, failed_ = false;
    scheduler scheduler_;
    std::map<worker_id, seat> workers_;
    std::vector<parcel> parcels_; ///< by the chunk's slot, which the scheduler gave it
    recent_map<job_id, std::shared_ptr<job>> jobs_;
    std::vector<buffer> spare_; ///< bodies whose memory is used again
    pool_statistics counts_; ///< what is counted as it happens
    complaint last_trouble_; ///< with a worker: why the pool failed, if it comes to that
    complaint reason_;       ///< why it failed
    std::exception_ptr finalizer_failure_;
    waiter_list closers_;
    std::vector<std::pair<std::unique_ptr<waiter>, std::error_code>> to_wake_;
    std::vector<std::unique_ptr<worker_link>> to_destroy_;
    std::vector<std::shared_ptr<job>> jobs_to_destroy_;
    std::optional<asio::steady_timer> glance_;
    bool glance_is_set_ = false, rang_since_ = false;
    std::size_t generators_ = 0; ///< among the jobs
    job_id last_job_ = 0;
    worker_id last_worker_ = 0;
};

// Whoever is to be woken is woken, whatever else goes wrong; what a completion handler of the program throws is thrown on.
struct pool_state::aftermath {
    decltype(to_wake_) to_wake;
    decltype(to_destroy_) to_destroy;
    decltype(jobs_to_destroy_) jobs;

    void come()
    {
        jobs.clear(); // who is woken must not find that we still hold his arguments
        std::exception_ptr thrown;
        for (auto& [waiter, error] : to_wake)
            try {
                waiter->wake(error);
            } catch (...) {
                thrown = std::current_exception();
            }
        if (thrown)
            std::rethrow_exception(thrown);
    }
};

template <class F>
std::exception_ptr pool_state::locked(F f, aftermath& after)
{
    std::exception_ptr thrown;
    std::scoped_lock lock{mutex_};
    try {
        f();
        carry_out();
    } catch (...) {
        thrown = std::current_exception();
    }
    auto move = [](auto& from, auto& to) {
        to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
        from.clear();
    };
    move(to_wake_, after.to_wake);
    move(to_destroy_, after.to_destroy);
    move(jobs_to_destroy_, after.jobs);
    return thrown;
}

template <class F>
void pool_state::turn(F f)
{
    auto self = shared_from_this(); // the last who waits may take the pool with him
    aftermath after;
    auto thrown = locked(f, after);
    after.come();
    if (thrown)
        std::rethrow_exception(thrown);
}

// A turn that nobody called: what can't be done any more (no memory, say) is the end of the pool, not of the program.
template <class F>
void pool_state::turn_of_handler(F f)
{
    auto self = shared_from_this();
    aftermath after;
    if (auto thrown = locked(f, after))
        static_cast<void>(locked(
            [&] {
                fail_all([thrown] {
                    try {
                        std::rethrow_exception(thrown);
                    } catch (const std::exception& e) {
                        return std::make_exception_ptr(error{std::string{"the pool has failed: "} + e.what()});
                    } catch (...) {
                        return std::make_exception_ptr(error{"the pool has failed"});
                    }
                });
            },
            after));
    after.come();
}

} // namespace coproc::detail
