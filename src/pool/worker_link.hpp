// The pool's end of the channels to one worker: pipe, ring, doorbell, socket and process.
//
// It decides nothing and waits for nothing: its descriptors are in the pool's watch set, and the pool, under its lock,
// calls the function that fits what the set reports.
#pragma once

#include "os/descriptor.hpp"
#include "os/watch_set.hpp"
#include "pool/captured_output.hpp"
#include "pool/task_pipe.hpp"
#include "pool/worker_page.hpp"
#include "process/process_state.hpp"
#include "process/startup.hpp"
#include "wire/bulk.hpp"
#include "wire/frame.hpp"

#include <coproc/pool_options.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace coproc::detail {

/// What the watch set reports of a worker.
enum class wakeup : std::uint8_t { doorbell, writable, startup, ended, output };
[[nodiscard]] constexpr std::uint64_t token_of(std::uint64_t worker, wakeup what) { return worker * 8 + static_cast<std::uint64_t>(what); }
[[nodiscard]] constexpr std::uint64_t worker_of(std::uint64_t token) { return token / 8; }
[[nodiscard]] constexpr wakeup wakeup_of(std::uint64_t token) { return static_cast<wakeup>(token % 8); }

class worker_link {
public:
    /// Starts a worker, whose descriptors are reported by `set`, in a place of the pool. Throws std::system_error; nothing is
    /// left behind then.
    worker_link(const os::watch_set& set, std::uint64_t id, std::string name, const pool_options& options, std::size_t place);
    /// Kills and reaps what has not ended.
    ~worker_link();
    worker_link(const worker_link&) = delete;
    worker_link& operator=(const worker_link&) = delete;

    [[nodiscard]] std::uint64_t id() const noexcept { return id_; }
    [[nodiscard]] int pid() const noexcept { return process_ ? process_->pid() : 0; }

    // Tasks.
    /// Queues a task and returns its number at this worker; flush sends it. The message stays the caller's and must stay
    /// as it is until the worker is done with it; what `keep` then holds, too. Throws if its memory file can't be made.
    std::uint64_t send_task(buffer& message, std::size_t count, std::size_t first, std::shared_ptr<bulk_file>& keep, std::uint8_t flags);
    /// Queues a function for tasks to come (frame::apart), unless it is there. It must stay as it is until no task that calls
    /// it runs there any more.
    void send_function(std::uint64_t number, buffer& function) { tasks_->queue_function(number, function); }
    /// The worker forgets it; false if it never had it.
    bool drop_function(std::uint64_t number) { return tasks_->drop_function(number); }
    /// The number that send_task gives next, and another one instead, if its slot in the page is not free.
    [[nodiscard]] std::uint64_t next_number() const noexcept { return tasks_sent_ + 1; }
    void skip_number() noexcept { ++tasks_sent_; }
    bool withdraw(std::uint64_t number) noexcept { return page_.withdraw(number); }
    [[nodiscard]] bool begun(std::uint64_t number) const noexcept
    {
        auto state = page_.state(number);
        return state == task_state::taken || state == task_state::stopping;
    }
    /// Nanoseconds of the monotonic clock; of a task that has begun. The worker's word: it may be anything.
    [[nodiscard]] std::uint64_t begun_at(std::uint64_t number) const noexcept { return page_.begun_at(number); }
    /// Asks a task that has begun to end; false if it has not. A coroutine is cancelled where it waits.
    bool request_stop(std::uint64_t number) noexcept;
    /// How many items a task that is a generator may make; before it is flushed, and later. See worker_page.
    void begin_items(std::uint64_t number) noexcept { page_.begin_items(number); }
    void allow_items(std::uint64_t number, std::uint64_t items, std::uint64_t bytes) noexcept;
    [[nodiscard]] std::size_t calls_done(std::uint64_t number) const noexcept { return page_.calls_done(number); }
    /// How many tasks in flight it has room for, and the place of one of them.
    [[nodiscard]] std::size_t slots() const noexcept { return page_.slots(); }
    [[nodiscard]] std::size_t slot(std::uint64_t number) const noexcept { return number & (page_.slots() - 1); }
    /// Asks it to end.
    void send_stop();
    /// Writes what is queued, as far as the pipe takes it; wakeup::writable tells when it takes more.
    void flush() { tasks_->flush(); }

    // What has come. `arrived` gets each frame with its body and descriptors; throws protocol_error.
    using receiver = std::function<void(const frame&, std::span<const std::byte>, std::vector<attachment>&)>;
    /// True if there was anything.
    bool read_results(const receiver& arrived);
    /// Passes on what it wrote to standard error, if the pool captures that.
    void pass_output_on();
    /// The last lines of it.
    [[nodiscard]] std::string last_output() const { return output_ ? output_->last_lines() : std::string{}; }
    /// Goes on starting. Throws why it can't be started.
    void advance_startup();
    /// How it ended; nothing while it runs.
    [[nodiscard]] std::optional<exit_status> poll_end();
    /// True while it isn't known yet whether it could be started.
    [[nodiscard]] bool starting() const noexcept { return starting_.has_value(); }
    void send_signal(int number);
    /// SIGKILL; one that is on its way is waited for first.
    void kill();
    /// SIGKILL as soon as it is known to be there, for it may answer before; nothing is read from it any more.
    void condemn();
    [[nodiscard]] bool condemned() const noexcept { return condemned_; }
    [[nodiscard]] bool told_to_stop() const noexcept { return told_to_stop_; }
    /// It has said that it ends by itself.
    void leaves() noexcept { leaving_ = true; }
    /// Either of them.
    [[nodiscard]] bool on_its_way_out() const noexcept { return told_to_stop_ || leaving_; }

private:
    void watch_startup();

    const os::watch_set& set_;
    std::uint64_t id_;
    std::string name_;
    start_method method_;
    worker_page page_;
    std::optional<task_pipe> tasks_; // from the constructor on
    os::descriptor doorbell_, attention_;
    std::optional<captured_output> output_;
    std::optional<startup> starting_;
    int watched_control_ = -1;
    std::shared_ptr<process_state> process_;

    std::uint64_t tasks_sent_ = 0;
    bulk_receiver bulk_in_;
    frame_reader reader_;
    bool told_to_stop_ = false, leaving_ = false, condemned_ = false;
};

} // namespace coproc::detail
