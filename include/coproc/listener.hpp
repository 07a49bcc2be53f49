// Connections between programs that did not start each other.
#pragma once

#include <coproc/connection.hpp>
#include <coproc/task.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

/// Addresses
///
///     "/run/user/1000/app"   a Unix socket at that path, which must have a slash in it; of this machine and user
///     "@name"                a Unix socket without a file (abstract); of this machine and user
///     "host:port"            TCP; "[::1]:port", "localhost:0" (0: a port that is free), "*:port" (all interfaces)
///
/// Keys. With a key, both sides prove to each other that they know it (HMAC-SHA256 over random bytes of both), before
/// anything else is read; it never travels. Any bytes will do, 16 random ones or more are safe; an empty one is checked, too.
/// TCP needs a key, as anybody could connect: usage_error without. What is said later is not encrypted.
namespace coproc {

namespace detail {
class listener_state;
}

struct listener_options {
    std::optional<std::string_view> key;                 ///< copied by the listener
    std::chrono::milliseconds handshake_timeout{10'000}; ///< for a client to prove the key
    int backlog = 4096;                                  ///< clients that wait to be accepted; the system may lower it
};

/// Accepts connections at an address. Movable; empty when default constructed or moved from. The destructor closes.
///
/// A path is made with mode 0600 and removed by close; one that a dead listener left behind is replaced. Thread-safe.
class listener {
public:
    listener() noexcept = default;
    /// Listens from now on: clients may connect before they are accepted.
    /// Throws: std::system_error (EADDRINUSE if somebody listens there already, ...); usage_error for what is no address.
    explicit listener(std::string_view address, listener_options options = {});
    listener(std::string_view address, std::string_view key) : listener{address, listener_options{.key = key}} {}
    listener(listener&&) noexcept = default;
    listener& operator=(listener&& other) noexcept
    {
        listener dropped{std::move(*this)};
        state_ = std::move(other.state_);
        return *this;
    }
    ~listener() { close(); }

    /// The next client that has proved the key; those who came first, as they get ready: one that is slow holds up nobody.
    /// Throws: authentication_error for a client that has another key, none, or took too long: it is gone, and accept can be
    ///         called again. usage_error if the listener is closed; operation_aborted if that happens meanwhile.
    ///         If there are no descriptors left, it waits and tries again every 100 ms.
    /// Cancel: no client is lost.
    [[nodiscard]] task<connection> accept();

    /// The address, with the port that was chosen: what clients connect to.
    [[nodiscard]] const std::string& endpoint() const;
    /// Whether it can accept.
    [[nodiscard]] bool valid() const noexcept { return state_ != nullptr; }
    /// Stops listening. Connections that were accepted live on; clients that were not are refused.
    void close() noexcept;

private:
    std::shared_ptr<detail::listener_state> state_;
};

struct connect_options {
    std::optional<std::string_view> key;          ///< copied by connect
    std::chrono::milliseconds timeout{10'000};    ///< for the connection and the handshake together
};

/// Connects to a listener.
/// Throws: std::system_error if nobody listens there; timeout_error; authentication_error if the other side has another key,
///         or none; usage_error for what is no address.
/// Cancel: nothing is left behind.
/// Cost:   a host's name that is no number is looked up by a thread of Asio's, which stays with the event loop.
[[nodiscard]] task<connection> connect(std::string_view address, connect_options options = {});
[[nodiscard]] inline task<connection> connect(std::string_view address, std::string_view key)
{
    return connect(address, connect_options{.key = key});
}

} // namespace coproc
