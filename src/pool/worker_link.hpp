// The pool's end of the channels to one worker: a thin loop around pipe, ring, doorbell, socket and pidfd.
//
// It decides nothing. What happens to the worker becomes a call of `woken`, without arguments that matter but which of the
// things to look at; the pool then takes its lock and calls the functions below, so that none of them needs one.
#pragma once

#include "os/descriptor.hpp"
#include "pool/worker_page.hpp"
#include "process/process_state.hpp"
#include "process/startup.hpp"
#include "wire/bulk.hpp"
#include "wire/frame.hpp"

#include <coproc/pool_options.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/steady_timer.hpp>

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace coproc::detail {

enum class wakeup { doorbell, writable, startup, ended, late };

class worker_link : public std::enable_shared_from_this<worker_link> {
public:
    using listener = std::function<void(worker_link&, wakeup)>;

    /// Starts a worker. Throws std::system_error; nothing is left behind then.
    worker_link(asio::any_io_executor executor, std::uint64_t id, std::string name, const pool_options& options, listener woken);
    /// Kills and reaps what has not ended.
    ~worker_link();

    /// Begins to listen. Apart from the constructor since it needs shared ownership.
    void listen();

    [[nodiscard]] std::uint64_t id() const noexcept { return id_; }
    [[nodiscard]] int pid() const noexcept { return process_ ? process_->pid() : 0; }

    // Tasks.
    /// Queues a task and returns its number at this worker; flush sends it. The message stays the caller's and must stay
    /// as it is until the worker is done with it; what `keep` then holds, too. Throws if its memory file can't be made.
    std::uint64_t send_task(buffer& message, std::size_t count, std::size_t first, std::shared_ptr<bulk_file>& keep);
    bool withdraw(std::uint64_t number) noexcept { return page_.withdraw(number); }
    [[nodiscard]] bool begun(std::uint64_t number) const noexcept { return page_.state(number) == task_state::taken; }
    [[nodiscard]] std::size_t calls_done() const noexcept { return page_.calls_done(); }
    /// Asks it to end; after `grace` it gets SIGTERM, after another `grace` SIGKILL.
    void send_stop(std::chrono::milliseconds grace);
    /// Writes what is queued, as far as the pipe takes it; wakeup::writable tells when it takes more.
    void flush();
    void room_again() { waits_for_room_ = false; }

    // What has come. `arrived` gets each frame with its body and descriptors; throws protocol_error.
    using receiver = std::function<void(const frame&, std::span<const std::byte>, std::vector<attachment>&)>;
    /// True if there was anything.
    bool read_results(const receiver& arrived);
    /// Goes on starting. Throws why it can't be started.
    void advance_startup();
    /// How it ended; nothing while it runs.
    [[nodiscard]] std::optional<exit_status> poll_end();
    void take_next_step();
    void listen_to(wakeup what);
    void kill();
    /// Stops listening; nothing is called any more.
    void close();
    [[nodiscard]] bool told_to_stop() const noexcept { return told_to_stop_; }

private:
    struct gift { // descriptors that go before a frame
        std::uint64_t position = 0;
        os::descriptor file;
        std::vector<attachment> attachments;
        std::size_t sent = 0;
    };

    void queue_frame(const frame& header, std::span<const std::byte> body);
    bool send_gift(gift& what);

    asio::any_io_executor executor_;
    std::uint64_t id_;
    listener woken_;
    worker_page page_;
    os::descriptor socket_;
    asio::posix::stream_descriptor tasks_, doorbell_, control_, process_end_;
    asio::steady_timer patience_;
    std::uint64_t rings_ = 0;

    std::optional<startup> starting_;
    std::shared_ptr<process_state> process_;
    std::string name_;
    start_method method_;

    std::vector<std::byte> out_;
    std::size_t out_sent_ = 0;
    std::uint64_t position_ = 0; ///< of out_'s beginning in all that was ever queued
    std::deque<gift> gifts_;
    bool waits_for_room_ = false;
    std::uint64_t tasks_sent_ = 0;
    bulk_sender bulk_out_;
    bulk_receiver bulk_in_;
    frame_reader reader_;
    bool told_to_stop_ = false, terminated_ = false, closed_ = false;
    std::chrono::milliseconds grace_{0};
};

} // namespace coproc::detail
