// The tasks of a worker that are coroutines, while they run: up to `concurrency` at a time, on its thread's event loop.
//
// Each has its own copy of what it was sent (a large body stays in its memory file, which is the pool's again when it has
// the result) and writes its own result. The loop also waits for the pipe, while there is room for more, and for the
// pool's wish that one of them should end: that one is cancelled where it waits.
//
// A generator sends each item when it has made it, and then waits until the pool's page allows it the next one: until enough
// was taken, and the ring is not half full of what the pool has not read. The pool tells of that by `attention`, too.
//
// Nothing runs on the loop while no coroutine does: the worker waits in read then, which is faster.
#pragma once

#include "os/watch_set.hpp"
#include "pool/running_task.hpp"
#include "pool/task_reports.hpp"
#include "pool/worker_channel.hpp"
#include "process/loop.hpp"
#include "process/loop_users.hpp"
#include "wire/trace.hpp"

#include <asio/cancellation_signal.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/steady_timer.hpp>

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

namespace coproc::detail {

class worker_coroutines final : public loop_user, public std::enable_shared_from_this<worker_coroutines> {
public:
    worker_coroutines(worker_setup& setup, worker_channel& channel) : setup_{setup}, channel_{channel} {}

    [[nodiscard]] bool none() const noexcept { return running_.empty(); }
    [[nodiscard]] bool has_room() const noexcept { return running_.size() < setup_.concurrency; }
    /// Whether a read from the pipe would not wait.
    [[nodiscard]] bool readable() const;

    /// Begins a task, the arguments of which are what remains in `in`. What it throws is the task's failure.
    void begin(const claimed_task& task, const input_archive& in, std::vector<attachment> attachments, std::span<const std::byte> body,
               bool body_lasts);
    /// Lets them run a little; if nothing can, and `may_wait`, until something happens. Throws protocol_error.
    void run(bool may_wait);
    /// Destroys what still runs. Before this object is destroyed.
    void give_up() noexcept;

    void loop_rests(asio::execution_context&) override {}
    void loop_ends(asio::execution_context&) override;

private:
    struct made_items {
        std::uint64_t count = 0, bytes = 0;
        asio::steady_timer* room = nullptr; ///< while it waits; to be cancelled when it may make more, perhaps
    };
    struct lent_item {
        std::uint64_t number = 0, before = 0;
        std::shared_ptr<bulk_file> file;
    };
    struct coroutine {
        claimed_task task;
        std::vector<std::byte> copy;
        std::vector<attachment> attachments;
        buffer result = make_message();
        std::optional<input_archive> in;
        std::optional<output_archive> out;
        std::optional<invocation> call; ///< unless it is in the page
        std::optional<running_task> known;
        std::optional<worker_reports> reports;
        made_items made; ///< of a generator
        asio::cancellation_signal cancel;
        bool cancelled = false;
    };

    void spawn(claimed_task about, const input_archive& in, std::vector<attachment> attachments, std::span<const std::byte> body,
               bool body_lasts);
    task<> run_generator(coroutine& c, invocation& call);
    task<> wait_for_room(coroutine& c);
    bool may_make_item(coroutine& c);
    void drop_read_items();
    void go_on_with_items();
    std::exception_ptr run_handlers(bool may_wait);
    void rest_if_none();
    void watch();
    void arm();
    void cancel_stopped();
    void ended(coroutine& c, const std::exception_ptr& failure);
    void answer_all(const std::exception_ptr& failure);

    worker_setup& setup_;
    worker_channel& channel_;
    std::unordered_map<std::uint64_t, std::unique_ptr<coroutine>> running_; ///< by number
    std::vector<lent_item> lent_; ///< items in memory files that the pool has yet to read; their generators may have ended
    std::vector<std::unique_ptr<coroutine>> ended_; ///< destroyed when no handler is under way
    std::optional<loop_turns> turns_; ///< while any run
    std::optional<trace_scope> traced_;
    std::optional<os::watch_set> watched_; ///< pipe and attention
    std::vector<std::uint64_t> tokens_;
    std::optional<asio::posix::stream_descriptor> readiness_; ///< of the watch set
    std::exception_ptr broken_; ///< why nothing can be said to the pool any more
};

} // namespace coproc::detail
