#include "channels/connection_state.hpp"

#include "os/calls.hpp"
#include "process/ready.hpp"

#include <coproc/error.hpp>

#include <asio/error.hpp>
#include <asio/redirect_error.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <poll.h>
#include <system_error>
#include <vector>

namespace coproc::detail {

connection_state::~connection_state() { forget_files(); }

const connection_files& connection_state::files() const
{
    if (!files_.are_open())
        throw usage_error{"this connection is closed"};
    return files_;
}

void connection_state::forget(watched& what) noexcept
{
    if (what.file)
        static_cast<void>(what.file->release()); // the number is ours to close
    what.file.reset();
    what.loop = nullptr;
}

void connection_state::forget_files() noexcept
{
    forget(incoming_);
    forget(outgoing_pipe_);
}

// A pipe's other end sees the end when this one is closed, and not before.
void connection_state::close_if_idle() noexcept
{
    if (receivers.idle() && senders.idle()) {
        forget_files();
        files_.close();
        return;
    }
    files_.shut_down();
    std::error_code ignored;
    for (auto* w : {&incoming_, &outgoing_pipe_})
        if (w->file)
            w->file->cancel(ignored);
}

void connection_state::all_have_left() noexcept
{
    if (ended_)
        close_if_idle();
}

void connection_state::close() noexcept
{
    std::scoped_lock lock{mutex_};
    ended_.store(true, std::memory_order_release);
    close_if_idle();
}

void connection_state::fail(std::exception_ptr why) noexcept
{
    std::scoped_lock lock{mutex_};
    failure_ = std::move(why);
    ended_.store(true, std::memory_order_release);
    close_if_idle();
}

void connection_state::throw_end(bool while_waiting) const
{
    std::scoped_lock lock{mutex_};
    if (failure_)
        std::rethrow_exception(failure_);
    if (while_waiting)
        throw std::system_error{asio::error::operation_aborted, "a connection was closed"};
    throw usage_error{"this connection was closed, or sent away: make a new one"};
}

connection_state::look connection_state::advance(bool may_read)
{
    try {
        for (;;) {
            if (auto count = reader_.announced_descriptors(); count != 0 && files_.are_pipes()) {
                auto got = files_.receive_descriptors(count);
                reader_.put_descriptors(std::move(got.descriptors), got.descriptors_lost);
            }
            if (reader_.complete())
                return look::message;
            if (!may_read)
                return look::nothing;
            came_alone_ = false;
            auto to = reader_.space();
            auto got = files_.receive(to);
            switch (got.what) {
            case os::progress::would_block: return look::nothing;
            case os::progress::end:
                if (!reader_.between_messages())
                    throw protocol_error{"the other end of a connection was closed in the middle of a message"};
                return look::end;
            case os::progress::some: reader_.put(got.size, std::move(got.descriptors), got.descriptors_lost); break;
            }
        }
    } catch (const error&) {
        fail(std::current_exception());
        throw;
    }
}

buffer connection_state::take()
{
    auto body = reader_.take(spare_buffer()).body;
    came_alone_ = reader_.between_messages();
    return body;
}

void connection_state::begin(buffer message) noexcept
{
    outgoing_ = std::move(message);
    sent_ = descriptors_sent_ = 0;
}

void connection_state::abandon() noexcept
{
    if (sent_ == 0 && descriptors_sent_ == 0)
        begin({});
}

// As many as travel at a time.
std::span<const int> connection_state::next_descriptors(std::span<int, os::max_descriptors> room) const
{
    auto& attachments = outgoing_.attachments();
    auto count = std::min(attachments.size() - descriptors_sent_, room.size());
    for (std::size_t i = 0; i < count; ++i)
        room[i] = attachments[descriptors_sent_ + i].descriptor;
    return room.first(count);
}

// With pipes, all descriptors of a message go ahead of its bytes.
bool connection_state::send_descriptors()
{
    std::array<int, os::max_descriptors> room;
    for (auto next = next_descriptors(room); !next.empty(); next = next_descriptors(room)) {
        auto sent = files_.send_descriptors(next);
        if (sent.what == os::progress::end) // the pipe says so, too
            return true;
        if (sent.what == os::progress::would_block)
            return false;
        descriptors_sent_ += next.size();
    }
    return true;
}

bool connection_state::flush()
{
    socket_is_full_ = files_.are_pipes() && !send_descriptors();
    if (socket_is_full_)
        return false;
    while (sent_ < outgoing_.size()) {
        std::array<int, os::max_descriptors> room;
        auto next = next_descriptors(room);
        std::span<const std::byte> bytes{outgoing_.data() + sent_, outgoing_.size() - sent_};
        if (descriptors_sent_ + next.size() < outgoing_.attachments().size())
            bytes = bytes.first(1);
        auto sent = files_.send(bytes, next);
        switch (sent.what) {
        case os::progress::would_block:
            if (!files_.are_pipes() || is_wide_ || outgoing_.size() < os::usual_pipe / 2)
                return false;
            is_wide_ = true;
            os::widen_pipe(files_.writing());
            break;
        case os::progress::end:
            begin({});
            throw std::system_error{EPIPE, std::generic_category(), "sending over a connection whose other end is closed"};
        case os::progress::some:
            sent_ += sent.size;
            descriptors_sent_ += next.size();
        }
    }
    if (sent_ != 0) {
        use_again(std::move(outgoing_));
        begin({});
    }
    return true;
}

bool connection_state::is_over()
{
    place mine{receivers};
    {
        std::scoped_lock lock{mutex_};
        if (ended_)
            return true;
        if (!can_.reads) {
            pollfd p{files_.writing(), 0, 0};
            return os::poll(&p, 1, 0) == 1 && (p.revents & (POLLERR | POLLHUP)) != 0;
        }
    }
    if (!mine.has_turn())
        return false;
    try {
        return advance() == look::end;
    } catch (const error&) {
        return true;
    }
}

bool connection_state::may_receive()
{
    place mine{receivers};
    try {
        if (mine.has_turn() && reader_.complete())
            return true;
    } catch (const std::exception&) { // is what the receiver will get
        return true;
    }
    std::scoped_lock lock{mutex_};
    if (ended_ || !files_.are_open())
        return true;
    pollfd p{files_.reading(), POLLIN, 0};
    return os::poll(&p, 1, 0) == 1;
}

void connection_state::know(const asio::any_io_executor& executor)
{
    asio::use_service<loop_users>(loop_of(executor)).add(weak_from_this());
}

asio::posix::stream_descriptor& connection_state::watch(watched& what, int number, const asio::any_io_executor& executor)
{
    auto& loop = loop_of(executor);
    if (what.loop != &loop) { // who else sets it ends that loop, or closes
        know(executor);
        std::scoped_lock lock{mutex_};
        forget(what);
        what.file.emplace(executor, number);
        what.loop = &loop;
    }
    return *what.file;
}

// Who receives may watch the socket on another loop: its sender waits for a copy.
task<> connection_state::wait_writable()
{
    if (!files_.are_pipes() || socket_is_full_) {
        auto wait = ready(files().socket(), waits::wait_write);
        co_return co_await std::move(wait);
    }
    auto executor = co_await asio::this_coro::executor;
    std::error_code error;
    auto wait = wait_on(outgoing_pipe_, files_.writing(), waits::wait_write, executor, asio::redirect_error(asio::use_awaitable, error));
    co_await std::move(wait);
    check_still_open();
    if (error)
        throw std::system_error{error};
}

void connection_state::loop_ends(asio::execution_context& loop)
{
    std::vector<std::unique_ptr<turn_waiter>> waiting; // destroyed, with their coroutines, when the lock is released
    std::scoped_lock lock{mutex_};
    receivers.take(loop, waiting);
    senders.take(loop, waiting);
    for (auto* w : {&incoming_, &outgoing_pipe_})
        if (w->loop == &loop)
            forget(*w);
}

void connection_state::save(output_archive& archive)
{
    std::scoped_lock lock{mutex_};
    if (ended_)
        throw usage_error{"a connection that is closed can't be sent"};
    if (!receivers.idle() || !senders.idle())
        throw usage_error{"a connection can't be sent while something is being sent or received over it: let that end first"};
    forget_files();
    ended_ = true;
    archive(can_.reads, can_.writes, can_.passes_descriptors);
    files_.save(archive);
    reader_.save(archive);
    archive(static_cast<std::uint64_t>(outgoing_.size() - sent_));
    archive.save_binary(outgoing_.data() + sent_, outgoing_.size() - sent_);
    auto& attachments = outgoing_.attachments();
    archive(static_cast<std::uint32_t>(attachments.size() - descriptors_sent_));
    for (auto i = descriptors_sent_; i < attachments.size(); ++i)
        archive.attach(std::move(attachments[i]));
    begin({});
}

std::shared_ptr<connection_state> connection_state::load(input_archive& archive)
{
    abilities can;
    archive(can.reads, can.writes, can.passes_descriptors);
    auto state = std::make_shared<connection_state>(connection_files::load(archive), can);
    state->reader_.load(archive);
    std::uint64_t size = 0;
    std::uint32_t count = 0;
    archive(size);
    auto* bytes = archive.view(size);
    state->outgoing_.append(bytes, size);
    archive(count);
    for (; count != 0; --count)
        state->outgoing_.attachments().push_back(archive.take_attachment());
    return state;
}

} // namespace coproc::detail
