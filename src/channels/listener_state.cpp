#include "channels/listener_state.hpp"

#include "channels/connection_state.hpp"
#include "channels/handshake.hpp"
#include "os/calls.hpp"
#include "os/error.hpp"
#include "process/ready.hpp"
#include "process/within.hpp"

#include <coproc/error.hpp>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <cerrno>
#include <unistd.h>

namespace coproc::detail {
namespace {

// Clients that have not proved the key may take so many descriptors.
constexpr std::size_t max_handshakes = 64;
// Between two tries when there are no descriptors: nothing tells when there are some again.
constexpr std::chrono::milliseconds pause{100};

// A socket file of a listener that is dead makes way.
bool somebody_listens(const endpoint& at)
{
    auto socket = at.make_socket();
    return ::connect(socket.get(), at.raw(), at.size) == 0 || (errno != ECONNREFUSED && errno != ENOENT);
}

void bind_to(const os::descriptor& socket, const endpoint& at, const std::string& address)
{
    int on = 1;
    if (at.is == endpoint::kind::tcp)
        ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    else
        ::fchmod(socket.get(), 0600); // the mode of the file to be made
    if (::bind(socket.get(), at.raw(), at.size) == 0)
        return;
    struct stat file{};
    if (errno == EADDRINUSE && at.is == endpoint::kind::path) {
        if (::stat(at.name.c_str(), &file) == 0 && S_ISSOCK(file.st_mode) && !somebody_listens(at)) {
            ::unlink(at.name.c_str());
            if (::bind(socket.get(), at.raw(), at.size) == 0)
                return;
        } else
            errno = EADDRINUSE;
    }
    os::fail(("listening at " + address).c_str());
}

// An abstract name has no mode that would keep others out.
bool is_own_user(const os::descriptor& client)
{
    ucred peer{};
    socklen_t size = sizeof peer;
    return ::getsockopt(client.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && (peer.uid == ::geteuid() || peer.uid == 0);
}

task<> pass_time(std::chrono::milliseconds time)
{
    asio::steady_timer timer{co_await asio::this_coro::executor, time};
    co_await timer.async_wait(asio::use_awaitable);
}

} // namespace

struct listener_state::handshake_under_way {
    std::shared_ptr<listener_state> of;
    explicit handshake_under_way(std::shared_ptr<listener_state> listener) : of{std::move(listener)}
    {
        std::scoped_lock lock{of->mutex_};
        ++of->handshakes_;
    }
    ~handshake_under_way()
    {
        std::scoped_lock lock{of->mutex_};
        --of->handshakes_;
        os::ring(of->news_.get());
    }
    handshake_under_way(const handshake_under_way&) = delete;
    handshake_under_way& operator=(const handshake_under_way&) = delete;
};

listener_state::listener_state(std::string_view address, const listener_options& options)
    : news_{os::make_event()}, at_{endpoint::parse(address)}, key_{options.key}, limit_{options.handshake_timeout}
{
    if (at_.is == endpoint::kind::tcp && !key_)
        throw usage_error{"a listener for TCP needs a key: anybody could connect"};
    at_.look_up(true);
    socket_ = at_.make_socket();
    bind_to(socket_, at_, std::string{address});
    if (at_.is == endpoint::kind::path && ::stat(at_.name.c_str(), &file_) == 0)
        owner_ = ::getpid();
    if (::listen(socket_.get(), options.backlog) < 0) {
        int error = errno;
        close();
        os::fail(error, ("listening at " + std::string{address}).c_str());
    }
    address_ = address_of(socket_);
    watched_.add_readable(socket_.get(), 0);
    watched_.add_readable(news_.get(), 1);
}

void listener_state::close() noexcept
{
    std::scoped_lock lock{mutex_};
    if (std::exchange(closed_, true))
        return;
    // Not by a copy of this process, and not what somebody else has put there meanwhile.
    struct stat now{};
    if (owner_ == ::getpid() && ::stat(at_.name.c_str(), &now) == 0 && now.st_ino == file_.st_ino && now.st_dev == file_.st_dev)
        ::unlink(at_.name.c_str());
    socket_.reset();
    arrived_.clear();
    os::ring(news_.get());
}

bool listener_state::closed()
{
    std::scoped_lock lock{mutex_};
    return closed_;
}

void listener_state::loop_ends(asio::execution_context& loop)
{
    std::vector<std::unique_ptr<turn_waiter>> waiting; // destroyed, with their coroutines, when the lock is released
    std::scoped_lock lock{mutex_};
    acceptors_.take(loop, waiting);
}

listener_state::took listener_state::take_client(os::descriptor& client)
{
    std::scoped_lock lock{mutex_};
    if (closed_ || handshakes_ >= max_handshakes)
        return took::nobody;
    for (;;) {
        int number = os::accept(socket_.get());
        if (number >= 0) {
            client = os::adopt(number, "accepting a connection");
            if (at_.is == endpoint::kind::tcp)
                prepare_tcp(client);
            return took::client;
        }
        switch (errno) {
        case EAGAIN: return took::nobody;
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM: return took::no_room;
        case ECONNABORTED:
        case EPROTO:
        case ENETDOWN:
        case ENETUNREACH:
        case EHOSTDOWN:
        case EHOSTUNREACH:
        case ENONET:
        case ENOPROTOOPT: break; // of the client, which is gone
        default: os::fail("accepting a connection");
        }
    }
}

task<> listener_state::admit(std::shared_ptr<listener_state> self, os::descriptor client)
{
    handshake_under_way guard{self};
    arrived result;
    try {
        auto handshake = within(shake_hands(role::listener, client.get(), *self->key_), self->limit_);
        if (!co_await std::move(handshake))
            throw authentication_error{"a client did not prove in time that it knows the key"};
        result.socket = std::move(client);
    } catch (...) {
        result.failure = std::current_exception();
    }
    client.reset();
    std::scoped_lock lock{self->mutex_};
    if (!self->closed_)
        self->arrived_.push_back(std::move(result));
}

task<connection> listener_state::accept_one(std::shared_ptr<listener_state> self)
{
    if (self->closed())
        throw usage_error{"this listener is closed"};
    place mine{self->acceptors_};
    auto executor = co_await asio::this_coro::executor;
    if (!mine.has_turn()) {
        asio::use_service<loop_users>(loop_of(executor)).add(self->weak_from_this());
        auto turn = mine.wait();
        co_await std::move(turn);
    }
    const abilities can{true, true, self->at_.is != endpoint::kind::tcp};
    std::vector<std::uint64_t> news;
    for (;;) {
        std::optional<arrived> first;
        {
            std::scoped_lock lock{self->mutex_};
            if (self->closed_)
                throw std::system_error{asio::error::operation_aborted, "a listener was closed"};
            if (!self->arrived_.empty()) {
                first = std::move(self->arrived_.front());
                self->arrived_.pop_front();
            }
        }
        if (first && first->failure)
            std::rethrow_exception(first->failure);
        if (first)
            co_return connection_factory::make(connection_files{std::move(first->socket)}, can);

        os::descriptor client;
        auto took = self->take_client(client);
        if (took == took::client && self->key_) {
            auto handshake = admit(self, std::move(client));
            asio::co_spawn(executor, std::move(handshake), asio::detached);
        } else if (took == took::client) {
            if (self->at_.is == endpoint::kind::abstract && !is_own_user(client))
                throw authentication_error{"a client of another user"};
            co_return connection_factory::make(connection_files{std::move(client)}, can);
        } else {
            auto change = took == took::no_room ? pass_time(pause) : ready(self->watched_.number(), waits::wait_read);
            co_await std::move(change);
            news.clear();
            self->watched_.collect(news);
        }
    }
}

task<connection> listener_state::accept() { return accept_one(shared_from_this()); }

} // namespace coproc::detail
