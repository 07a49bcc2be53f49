// One end of a connection: its files, what was read ahead, what is left to be written.
#pragma once

#include "channels/connection_files.hpp"
#include "channels/message_reader.hpp"
#include "channels/turns.hpp"
#include "process/loop_users.hpp"

#include <coproc/connection.hpp>

#include <asio/async_result.hpp>
#include <asio/posix/stream_descriptor.hpp>

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <span>

namespace coproc::detail {

/// What an end can do.
struct abilities {
    bool reads = true, writes = true;
    bool passes_descriptors = true;
};

/// Shared by the handle and the operations that are under way, which may be on different loops. Thread-safe.
///
/// Senders, and receivers, take turns. Whoever has the turn does the I/O itself and waits on its own loop; what it has not
/// finished when it is cancelled stays here, and the next one goes on with it.
class connection_state final : public loop_user, turns_owner, public std::enable_shared_from_this<connection_state> {
public:
    connection_state(connection_files files, abilities can) noexcept : files_{std::move(files)}, can_{can} {}
    ~connection_state() override;

    /// Throws usage_error if it is closed.
    [[nodiscard]] const connection_files& files() const;
    /// What is readable when bytes come, or the end does; -1 if it is closed.
    [[nodiscard]] int reading_or_none() const noexcept { return files_.reading(); }
    [[nodiscard]] const abilities& can() const noexcept { return can_; }
    /// Closes its files, or if operations are under way, wakes and fails them; the last one closes them.
    void close() noexcept;
    /// Whether it is of no further use; see connection::closed.
    [[nodiscard]] bool is_over();
    /// Whether a receive would end without waiting, as far as can be told without reading.
    [[nodiscard]] bool may_receive();

    // For a place in `receivers` that has its turn.
    enum class look { message, nothing, end };
    /// Reads what is there, until a message is complete. `may_read` false: looks only at what was read before.
    [[nodiscard]] look advance(bool may_read = true);
    /// The next message will have to be waited for, as far as the last ones tell: to try before would be a system call in
    /// vain.
    [[nodiscard]] bool likely_to_wait() const noexcept { return came_alone_; }
    /// The body of the message that is complete.
    [[nodiscard]] buffer take();
    [[nodiscard]] message_reader& reader() noexcept { return reader_; }
    turns receivers{mutex_, this};

    // For a place in `senders` that has its turn.
    /// What remains of the message that was begun last is gone for certain when this is true; else there is no room.
    [[nodiscard]] bool flush();
    void begin(buffer message) noexcept;
    /// Forgets the message, if nothing of it was written.
    void abandon() noexcept;
    turns senders{mutex_, this};

    /// Throws what ended the connection, usage_error if it was closed here.
    void check_open() const
    {
        if (ended_.load(std::memory_order_acquire)) [[unlikely]] // releases failure_
            throw_end(false);
    }
    /// The same after a wait, in which it may have been closed: operation_aborted then.
    void check_still_open() const
    {
        if (ended_.load(std::memory_order_acquire)) [[unlikely]]
            throw_end(true);
    }
    /// Hears of the end of this loop from now on.
    void know(const asio::any_io_executor& executor);
    /// Completes when there are bytes to read, or it was closed. For who has the receivers' turn.
    template <class Token>
    auto wait_readable(const asio::any_io_executor& executor, Token token)
    {
        return wait_on(incoming_, files_.reading(), asio::posix::descriptor_base::wait_read, executor, std::move(token));
    }
    /// Completes when there may be room again, or it was closed. For who has the senders' turn.
    [[nodiscard]] task<> wait_writable();

    /// Everything that makes this end, for an archive: it is closed here then. Throws usage_error if operations are under way.
    void save(output_archive& archive);
    static std::shared_ptr<connection_state> load(input_archive& archive);

    void loop_rests(asio::execution_context&) override {}
    void loop_ends(asio::execution_context& loop) override;

private:
    /// A file as a loop watches it: the one of who waited last.
    struct watched {
        std::optional<asio::posix::stream_descriptor> file;
        std::atomic<asio::execution_context*> loop{nullptr};
    };
    asio::posix::stream_descriptor& watch(watched& what, int number, const asio::any_io_executor& executor);
    static void forget(watched& what) noexcept;
    void forget_files() noexcept;

    // The wait begins, and is ended by a close, under one lock: else a close in between would not be seen.
    template <class Token>
    auto wait_on(watched& what, int number, asio::posix::descriptor_base::wait_type until, const asio::any_io_executor& executor, Token token)
    {
        auto& file = watch(what, number, executor);
        auto start = [this, &file, until](auto handler) {
            std::scoped_lock lock{mutex_};
            file.async_wait(until, std::move(handler));
            if (std::error_code ignored; ended_)
                file.cancel(ignored);
        };
        return asio::async_initiate<Token, void(std::error_code)>(std::move(start), token);
    }

    [[noreturn]] void throw_end(bool while_waiting) const;
    [[nodiscard]] std::span<const int> next_descriptors(std::span<int, os::max_descriptors> room) const;
    [[nodiscard]] bool send_descriptors();
    void close_if_idle() noexcept;
    void all_have_left() noexcept override;
    void fail(std::exception_ptr why) noexcept;

    mutable std::mutex mutex_;
    connection_files files_;
    const abilities can_;
    std::atomic<bool> ended_{false}; // closed here, or failed
    std::exception_ptr failure_; // the other side broke the rules
    watched incoming_, outgoing_pipe_;
    message_reader reader_; // of who has the receivers' turn
    bool came_alone_ = false; // the last message: nothing more was read with it
    buffer outgoing_;       // of who has the senders' turn
    std::size_t sent_ = 0, descriptors_sent_ = 0;
    bool socket_is_full_ = false;
    bool is_wide_ = false; // the pipe to the other end
};

struct connection_factory {
    static connection make(connection_files files, abilities can)
    {
        return connection{std::make_shared<connection_state>(std::move(files), can)};
    }
    static const std::shared_ptr<connection_state>& state_of(const connection& c) { return c.state_; }
};

} // namespace coproc::detail
