// One end of a channel that carries messages between two processes.
#pragma once

#include <coproc/detail/buffer.hpp>
#include <coproc/detail/callable.hpp>
#include <coproc/detail/check_call.hpp>
#include <coproc/detail/message_type.hpp>
#include <coproc/detail/value.hpp>
#include <coproc/error.hpp>
#include <coproc/serialize.hpp>
#include <coproc/task.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace coproc {

namespace detail {
class connection_state;
struct connection_factory;

buffer begin_message();
task<> send(std::shared_ptr<connection_state> to, buffer message, std::uint64_t type);
task<std::optional<buffer>> receive(std::shared_ptr<connection_state> from, std::uint64_t type);
std::optional<buffer> try_receive(connection_state& from, std::uint64_t type);

template <class T>
T decode_message(buffer body)
{
    T value{};
    input_archive archive{body.data(), body.size(), &body.attachments()};
    load_value(archive, value);
    use_again(std::move(body));
    return value;
}

template <class T>
task<std::optional<T>> receive_value(std::shared_ptr<connection_state> from)
{
    auto work = receive(from, message_type_of<T>::record.fingerprint);
    auto body = co_await std::move(work);
    if (!body)
        co_return std::nullopt;
    co_return decode_message<T>(std::move(*body));
}
} // namespace detail

/// A message did not fit into the memory that was given for it. Nothing is lost: it is here.
class buffer_too_short : public error {
public:
    buffer_too_short(std::size_t room, std::vector<std::byte> message);
    [[nodiscard]] const std::vector<std::byte>& message() const noexcept { return *message_; }

private:
    std::shared_ptr<const std::vector<std::byte>> message_; // shared, so that copies don't throw
};

/// One end of a connection: of pipe(), of a listener, of connect(). Messages of any type and size go both ways, or one way,
/// and arrive whole, once, in order; empty ones too.
///
/// **An end belongs to one process at a time, and can be sent**: it is a value in arguments, results and messages of other
/// connections. To send it is to give it away: this handle is empty from then on, whether it was moved or not, so that the
/// stream ends when the new owner closes it. What was not read yet goes along. If the call or message that carries it fails,
/// the end is closed; so a task that was given one is not tried again once it has begun, whatever call_options::retries says.
/// It can't be sent while something is sent or received over it, nor to all workers of a pool by an initializer (usage_error).
///
/// Empty when default constructed, moved from, closed or sent away; all calls but closed, close and valid are then a
/// usage_error. The destructor closes. Sending and receiving don't disturb each other, and many coroutines and threads may
/// do both at a time: senders take turns in the order in which they began, and so do receivers. Their messages don't mix.
/// The calls may be awaited on any event loop, also one after the other on several, or in a plain function by sync_wait.
///
/// Types are checked: who receives another type than was sent gets type_error, and can receive the message again as what it
/// is. What is no message at all is a protocol_error, and the end of this connection, not of the process. Over TCP no
/// descriptors can travel, and so no handles that have any: usage_error.
class connection {
public:
    connection() noexcept = default;
    connection(connection&&) noexcept = default;
    connection& operator=(connection&& other) noexcept
    {
        connection dropped{std::move(*this)};
        state_ = std::move(other.state_);
        return *this;
    }
    ~connection() { close(); }

    /// Sends a value; completes when the system has all of it, which does not mean that it was received.
    ///
    /// The value is serialized at once and need not outlive the call; what its serialization throws leaves nothing behind.
    /// Text (`"..."`, string_view) is sent as std::string. Waits while the other side is slow to receive.
    /// Throws: std::system_error with EPIPE if the other end is closed (no signal is raised); usage_error; what the
    ///         serialization of the value throws.
    /// Cancel: a message of which nothing was written yet is dropped. One that was begun is not: its rest is kept and
    ///         written by the next send; if none comes, the other side sees the end in the middle of a message.
    /// Cost:   the value is copied once; one system call, for large ones one for about 64 KiB.
    template <class T>
    [[nodiscard]] task<> send(const T& value)
    {
        using type = detail::stored_t<const T&>;
        static_assert(detail::check_value<type>());
        auto to = writable();
        auto message = detail::begin_message();
        output_archive archive{message};
        detail::save_value<type>(archive, detail::convert<std::decay_t<const T&>>(value));
        return detail::send(std::move(to), std::move(message), detail::message_type_of<type>::record.fingerprint);
    }

    /// The next message; nothing if the other end is closed and everything was received.
    /// T:      what was sent; a default constructor is needed.
    /// Throws: type_error, which names both types: the message stays and is the next one still. protocol_error if it can't be
    ///         deserialized (it is gone then), if its sender died in the middle of it, or if it is none: the connection is
    ///         of no use then. std::system_error with EMFILE if there was no room for its descriptors; it is gone.
    /// Cancel: loses nothing; what has come of a message is kept for the next call.
    /// Cost:   one system call for several small messages. Memory is taken as bytes arrive, not as they are announced.
    template <class T>
    [[nodiscard]] task<std::optional<T>> recv()
    {
        static_assert(detail::check_value<T>());
        return detail::receive_value<T>(readable());
    }
    /// The same without waiting: nothing if no whole message is there, or if others wait for one; closed() tells whether
    /// one can still come.
    template <class T>
    [[nodiscard]] std::optional<T> try_recv()
    {
        static_assert(detail::check_value<T>());
        auto from = readable();
        auto body = detail::try_receive(*from, detail::message_type_of<T>::record.fingerprint);
        if (!body)
            return std::nullopt;
        return detail::decode_message<T>(std::move(*body));
    }

    /// As send and recv, for plain bytes, which have no type. They are copied before send_bytes returns.
    [[nodiscard]] task<> send_bytes(std::span<const std::byte> bytes);
    [[nodiscard]] task<> send_bytes(std::string_view bytes) { return send_bytes(std::as_bytes(std::span{bytes})); }
    [[nodiscard]] task<std::optional<std::vector<std::byte>>> recv_bytes();
    [[nodiscard]] std::optional<std::vector<std::byte>> try_recv_bytes();
    /// Receives into the beginning of `room`, which must stay there meanwhile, and gives the message's size in bytes.
    /// Throws: buffer_too_short if it has not room enough; the message is in the exception, and received.
    [[nodiscard]] task<std::optional<std::size_t>> recv_bytes_into(std::span<std::byte> room);

    /// True as soon as a receive would not wait: a whole message is there, or the end. Gives up after `timeout`; 0 or less
    /// only looks. Takes nothing away, but may read ahead.
    [[nodiscard]] task<bool> poll(std::chrono::nanoseconds timeout = std::chrono::nanoseconds::zero());

    /// Closes this end; what was sent can still be received over there. Operations under way fail (operation_aborted).
    void close() noexcept;
    /// Whether nothing more can come: this end is empty, or the other one closed and everything received. Of an end that
    /// only sends: whether nobody can receive any more. Never waits.
    [[nodiscard]] bool closed();
    /// Whether there is a connection at all.
    [[nodiscard]] bool valid() const noexcept { return state_ != nullptr; }
    /// What becomes readable when bytes come, for poll and the like; of an end that only sends, what it writes to. It belongs
    /// to the connection: don't close, read or write it. That it is not readable does not mean that no message is there:
    /// several are read at once.
    [[nodiscard]] int native_handle() const;

    /// For messages; see above.
    void save(output_archive& archive) const;
    void load(input_archive& archive);

private:
    friend struct detail::connection_factory;
    explicit connection(std::shared_ptr<detail::connection_state> state) noexcept : state_{std::move(state)} {}
    std::shared_ptr<detail::connection_state> readable() const;
    std::shared_ptr<detail::connection_state> writable() const;

    mutable std::shared_ptr<detail::connection_state> state_; // mutable: cereal saves constant objects
};

} // namespace coproc
