#include <coproc/connection.hpp>

#include "channels/connection_state.hpp"
#include "process/within.hpp"

#include <coproc/detail/fairness.hpp>

#include <asio/redirect_error.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <cstring>
#include <string>

namespace coproc {
namespace detail {
namespace {

// Forgets what was begun and can still be forgotten, when the sender is cancelled.
struct undo {
    connection_state& state;
    ~undo() { state.abandon(); }
};

task<> wait_for_turn(std::shared_ptr<connection_state> state, place& mine)
{
    state->know(co_await asio::this_coro::executor);
    auto turn = mine.wait();
    co_await std::move(turn);
    state->check_still_open();
}

void check_type(message_reader& reader, std::uint64_t type)
{
    if (reader.type() != type)
        throw type_error{"the next message over this connection is of type " + name_of_type(reader.type()) + ", not "
                         + name_of_type(type)};
}

task<std::optional<std::vector<std::byte>>> receive_bytes(std::shared_ptr<connection_state> from)
{
    auto work = receive(from, bytes_fingerprint);
    auto body = co_await std::move(work);
    if (!body)
        co_return std::nullopt;
    std::vector<std::byte> bytes{body->data(), body->data() + body->size()};
    use_again(std::move(*body));
    co_return bytes;
}

task<std::optional<std::size_t>> receive_bytes_into(std::shared_ptr<connection_state> from, std::span<std::byte> room)
{
    auto work = receive(from, bytes_fingerprint);
    auto body = co_await std::move(work);
    if (!body)
        co_return std::nullopt;
    auto size = body->size();
    if (size > room.size())
        throw buffer_too_short{room.size(), {body->data(), body->data() + body->size()}};
    if (size != 0)
        std::memcpy(room.data(), body->data(), size);
    use_again(std::move(*body));
    co_return size;
}

// Completes when a message, or the end, is there. `then`: to be done with it, before another receiver's turn.
template <class Then>
task<typename Then::result> arrival(std::shared_ptr<connection_state> from, Then then)
{
    place mine{from->receivers};
    if (!mine.has_turn()) {
        auto turn = wait_for_turn(from, mine);
        co_await std::move(turn);
    } else
        from->check_open();
    for (bool try_first = !from->likely_to_wait();; try_first = true) {
        if (auto what = from->advance(try_first); what != connection_state::look::nothing)
            co_return then(*from, what);
        auto executor = co_await asio::this_coro::executor;
        std::error_code error;
        auto wait = from->wait_readable(executor, asio::redirect_error(asio::use_awaitable, error));
        co_await std::move(wait);
        from->check_still_open();
        if (error)
            throw std::system_error{error};
    }
}

struct take_message {
    using result = std::optional<buffer>;
    std::uint64_t type;

    result operator()(connection_state& from, connection_state::look what) const
    {
        if (what == connection_state::look::end)
            return std::nullopt;
        check_type(from.reader(), type);
        return from.take();
    }
};

struct only_look {
    using result = void;
    void operator()(connection_state&, connection_state::look) const {}
};

// Whether a message, or the end, is there now.
bool has_arrived(connection_state& from)
{
    place mine{from.receivers};
    from.check_open();
    return mine.has_turn() && from.advance() != connection_state::look::nothing;
}

task<bool> poll(std::shared_ptr<connection_state> from, std::chrono::nanoseconds timeout)
{
    if (had_its_turn()) {
        auto others = let_others_run();
        co_await std::move(others);
    }
    if (has_arrived(*from))
        co_return true;
    if (timeout <= timeout.zero())
        co_return false;
    auto wait = within(arrival(from, only_look{}), timeout);
    if (co_await std::move(wait))
        co_return true;
    co_return has_arrived(*from);
}

} // namespace

buffer begin_message()
{
    auto message = spare_buffer();
    static_cast<void>(message.extend(sizeof(message_header)));
    return message;
}

task<> send_begun(std::shared_ptr<connection_state> to, buffer message)
{
    place mine{to->senders};
    if (!mine.has_turn()) {
        auto turn = wait_for_turn(to, mine);
        co_await std::move(turn);
    } else
        to->check_open();
    bool begun = false;
    undo guard{*to};
    for (;;) {
        if (to->flush()) {
            if (begun)
                co_return;
            to->begin(std::move(message));
            begun = true;
        } else {
            auto wait = to->wait_writable();
            co_await std::move(wait);
            to->check_still_open();
        }
    }
}

task<> send(std::shared_ptr<connection_state> to, buffer message, std::uint64_t type)
{
    message_header header;
    header.size = message.size() - sizeof header;
    header.type = type;
    header.descriptors = static_cast<std::uint32_t>(message.attachments().size());
    if (!to->can().passes_descriptors && header.descriptors != 0)
        throw usage_error{"descriptors, and handles that have any, can't be sent over TCP"};
    if (message.attachments().size() > max_message_descriptors)
        throw usage_error{"a message can't carry more than " + std::to_string(max_message_descriptors) + " descriptors"};
    std::memcpy(message.data(), &header, sizeof header);
    return send_begun(std::move(to), std::move(message));
}

task<std::optional<buffer>> receive(std::shared_ptr<connection_state> from, std::uint64_t type)
{
    return arrival(std::move(from), take_message{type});
}

std::optional<buffer> try_receive(connection_state& from, std::uint64_t type)
{
    place mine{from.receivers};
    from.check_open();
    if (!mine.has_turn())
        return std::nullopt;
    auto what = from.advance();
    return what == connection_state::look::message ? take_message{type}(from, what) : std::nullopt;
}

} // namespace detail

buffer_too_short::buffer_too_short(std::size_t room, std::vector<std::byte> message)
    : error{"a message of " + std::to_string(message.size()) + " bytes does not fit into " + std::to_string(room)},
      message_{std::make_shared<const std::vector<std::byte>>(std::move(message))}
{
}

namespace {

const std::shared_ptr<detail::connection_state>& checked(const std::shared_ptr<detail::connection_state>& state)
{
    if (!state)
        throw usage_error{"this connection is empty: never made, moved, closed, or sent away"};
    return state;
}

} // namespace

std::shared_ptr<detail::connection_state> connection::readable() const
{
    if (!checked(state_)->can().reads)
        throw usage_error{"this end of a one-way pipe only sends: receive from the other one"};
    return state_;
}

std::shared_ptr<detail::connection_state> connection::writable() const
{
    if (!checked(state_)->can().writes)
        throw usage_error{"this end of a one-way pipe only receives: send over the other one"};
    return state_;
}

task<> connection::send_bytes(std::span<const std::byte> bytes)
{
    auto to = writable();
    auto message = detail::begin_message();
    message.append(bytes.data(), bytes.size());
    return detail::send(std::move(to), std::move(message), detail::bytes_fingerprint);
}

task<std::optional<std::vector<std::byte>>> connection::recv_bytes() { return detail::receive_bytes(readable()); }

std::optional<std::vector<std::byte>> connection::try_recv_bytes()
{
    auto body = detail::try_receive(*readable(), detail::bytes_fingerprint);
    if (!body)
        return std::nullopt;
    return std::vector<std::byte>{body->data(), body->data() + body->size()};
}

task<std::optional<std::size_t>> connection::recv_bytes_into(std::span<std::byte> room)
{
    return detail::receive_bytes_into(readable(), room);
}

task<bool> connection::poll(std::chrono::nanoseconds timeout) { return detail::poll(readable(), timeout); }

void connection::close() noexcept
{
    if (auto state = std::move(state_))
        state->close();
}

bool connection::closed() { return !state_ || state_->is_over(); }

int connection::native_handle() const { return checked(state_)->files().reading(); }

void connection::save(output_archive& archive) const
{
    archive(state_ != nullptr);
    if (state_) {
        state_->save(archive);
        state_.reset();
    }
}

void connection::load(input_archive& archive)
{
    bool has_state = false;
    archive(has_state);
    *this = connection{has_state ? detail::connection_state::load(archive) : nullptr};
}

} // namespace coproc
