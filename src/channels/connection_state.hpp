// One end of a connection: its socket, what was read ahead of it, what is left to be written.
#pragma once

#include "channels/message_reader.hpp"
#include "channels/turns.hpp"
#include "os/descriptor.hpp"
#include "process/loop_users.hpp"

#include <coproc/connection.hpp>

#include <asio/posix/stream_descriptor.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>

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
class connection_state final : public loop_user, public std::enable_shared_from_this<connection_state> {
public:
    connection_state(os::descriptor socket, abilities can) noexcept : socket_{std::move(socket)}, can_{can} {}
    ~connection_state() override;

    [[nodiscard]] int socket() const;
    [[nodiscard]] int socket_or_none() const noexcept { return socket_.get(); }
    [[nodiscard]] const abilities& can() const noexcept { return can_; }
    /// Closes the socket, or if operations are under way, wakes and fails them; the last one closes it.
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
    turns receivers{mutex_};

    // For a place in `senders` that has its turn.
    /// What remains of the message that was begun last is gone for certain when this is true; else the socket is full.
    [[nodiscard]] bool flush();
    void begin(buffer message) noexcept;
    /// Forgets the message, if nothing of it was written.
    void abandon() noexcept;
    turns senders{mutex_};

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
    /// Memory of messages that are done with, for the next ones.
    [[nodiscard]] buffer spare() noexcept;
    void use_again(buffer memory) noexcept;

    /// Hears of the end of this loop from now on.
    void know(const asio::any_io_executor& executor);
    /// The socket on this loop; to be waited for by who has the receivers' turn.
    asio::posix::stream_descriptor& watched_on(const asio::any_io_executor& executor);

    /// Everything that makes this end, for an archive: it is closed here then. Throws usage_error if operations are under way.
    void save(output_archive& archive);
    static std::shared_ptr<connection_state> load(input_archive& archive);

    void loop_rests(asio::execution_context&) override {}
    void loop_ends(asio::execution_context& loop) override;

private:
    [[noreturn]] void throw_end(bool while_waiting) const;
    void unwatch() noexcept;
    void close_if_idle() noexcept;
    void fail(std::exception_ptr why) noexcept;

    mutable std::mutex mutex_;
    os::descriptor socket_;
    const abilities can_;
    std::atomic<bool> ended_{false}; // closed here, or failed
    std::exception_ptr failure_; // the other side broke the rules
    std::optional<asio::posix::stream_descriptor> watched_;
    std::atomic<asio::execution_context*> watched_loop_{nullptr};
    message_reader reader_; // of who has the receivers' turn
    bool came_alone_ = false; // the last message: nothing more was read with it
    buffer outgoing_;       // of who has the senders' turn
    std::size_t sent_ = 0, descriptors_sent_ = 0;
    std::array<buffer, 2> spare_; // one for each direction is enough
};

struct connection_factory {
    static connection make(os::descriptor socket, abilities can)
    {
        return connection{std::make_shared<connection_state>(std::move(socket), can)};
    }
    static const std::shared_ptr<connection_state>& state_of(const connection& c) { return c.state_; }
};

} // namespace coproc::detail
