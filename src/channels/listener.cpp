#include <coproc/listener.hpp>

#include "channels/connection_state.hpp"
#include "channels/handshake.hpp"
#include "channels/listener_state.hpp"
#include "process/ready.hpp"
#include "process/within.hpp"

#include <coproc/error.hpp>

#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <cerrno>
#include <cstring>
#include <system_error>

namespace coproc {
namespace detail {
namespace {

// A Unix socket whose backlog is full refuses, and nothing tells when there is room again.
constexpr std::chrono::milliseconds pause{10};

[[noreturn]] void fail(int error, const std::string& address)
{
    throw std::system_error{error, std::generic_category(), "connecting to " + address};
}

task<> look_up(endpoint& to)
{
    asio::ip::tcp::resolver resolver{co_await asio::this_coro::executor};
    auto work = resolver.async_resolve(to.name, to.port, asio::use_awaitable);
    auto found = co_await std::move(work);
    auto address = found.begin()->endpoint();
    std::memcpy(&to.address, address.data(), address.size());
    to.size = static_cast<socklen_t>(address.size());
}

task<> establish(endpoint& to, const std::string& address, const std::optional<std::string>& key, os::descriptor& result)
{
    if (to.size == 0 && !to.name.empty()) {
        auto found = look_up(to);
        co_await std::move(found);
    }
    to.look_up(false);
    auto socket = to.make_socket();
    while (::connect(socket.get(), to.raw(), to.size) < 0) {
        if (errno == EINPROGRESS || errno == EINTR) {
            auto done = ready(socket.get(), waits::wait_write);
            co_await std::move(done);
            int error = 0;
            socklen_t size = sizeof error;
            ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
            if (error != 0)
                fail(error, address);
            break;
        }
        if (errno != EAGAIN || to.is == endpoint::kind::tcp)
            fail(errno, address);
        asio::steady_timer timer{co_await asio::this_coro::executor, pause};
        co_await timer.async_wait(asio::use_awaitable);
    }
    if (key) {
        auto handshake = shake_hands(role::client, socket.get(), *key);
        co_await std::move(handshake);
    }
    result = std::move(socket);
}

task<connection> connect_to(endpoint to, std::string address, std::optional<std::string> key, std::chrono::milliseconds timeout)
{
    os::descriptor socket;
    auto work = within(establish(to, address, key, socket), timeout);
    if (!co_await std::move(work) && !socket)
        throw timeout_error{"connecting to " + address + " took longer than " + std::to_string(timeout.count()) + " ms"};
    co_return connection_factory::make(connection_files{std::move(socket)}, {true, true, to.is != endpoint::kind::tcp});
}

} // namespace
} // namespace detail

task<connection> connect(std::string_view address, connect_options options)
{
    auto to = detail::endpoint::parse(address);
    if (to.is == detail::endpoint::kind::tcp && !options.key)
        throw usage_error{"a connection by TCP needs the listener's key"};
    std::optional<std::string> key;
    if (options.key)
        key.emplace(*options.key);
    return detail::connect_to(std::move(to), std::string{address}, std::move(key), options.timeout);
}

listener::listener(std::string_view address, listener_options options)
    : state_{std::make_shared<detail::listener_state>(address, options)}
{
}

task<connection> listener::accept()
{
    if (!state_)
        throw usage_error{"this listener is closed, or was never made"};
    return state_->accept();
}

const std::string& listener::endpoint() const
{
    if (!state_)
        throw usage_error{"this listener is closed, or was never made"};
    return state_->address();
}

void listener::close() noexcept
{
    if (auto state = std::move(state_))
        state->close();
}

} // namespace coproc
