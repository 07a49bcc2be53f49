#include "channels/endpoint.hpp"

#include "os/error.hpp"

#include <coproc/error.hpp>

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <memory>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>
#include <system_error>

namespace coproc::detail {
namespace {

bool find(endpoint& e, int flags)
{
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags | AI_NUMERICSERV;
    addrinfo* found = nullptr;
    if (::getaddrinfo(e.name.empty() ? nullptr : e.name.c_str(), e.port.c_str(), &hints, &found) != 0 || !found)
        return false;
    std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner{found, ::freeaddrinfo};
    std::memcpy(&e.address, found->ai_addr, found->ai_addrlen);
    e.size = found->ai_addrlen;
    return true;
}

} // namespace

endpoint endpoint::parse(std::string_view text)
{
    endpoint result;
    bool abstract = text.starts_with('@');
    if (abstract || text.find('/') != text.npos) {
        result.is = abstract ? kind::abstract : kind::path;
        result.name = text.substr(abstract ? 1 : 0);
        sockaddr_un address{};
        if (result.name.empty() || result.name.size() >= sizeof address.sun_path || result.name.find('\0') != text.npos)
            throw usage_error{"the address \"" + std::string{text} + "\" is too short or too long for a Unix socket: at most "
                              + std::to_string(sizeof address.sun_path - 1) + " characters"};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path + (abstract ? 1 : 0), result.name.data(), result.name.size());
        result.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + result.name.size() + 1);
        std::memcpy(&result.address, &address, sizeof address);
        return result;
    }
    result.is = kind::tcp;
    auto colon = text.rfind(':');
    unsigned number = 65536;
    if (colon != text.npos) {
        result.port = text.substr(colon + 1);
        auto end = result.port.data() + result.port.size();
        if (auto [at, error] = std::from_chars(result.port.data(), end, number); at != end || error != std::errc{})
            number = 65536;
    }
    if (number > 65535)
        throw usage_error{"\"" + std::string{text} + "\" is no address: write a path with a slash, \"@name\", or \"host:port\""};
    auto host = text.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']'))
        host = host.substr(1, host.size() - 2);
    result.name = host == "*" ? "" : host == "localhost" ? "127.0.0.1" : host;
    if (!result.name.empty())
        static_cast<void>(find(result, AI_NUMERICHOST));
    return result;
}

void endpoint::look_up(bool here)
{
    if (size == 0 && !find(*this, here ? AI_PASSIVE : 0))
        throw std::system_error{std::make_error_code(std::errc::address_not_available), "looking up " + name};
}

os::descriptor endpoint::make_socket() const
{
    auto socket = os::adopt(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "making a socket");
    if (is == kind::tcp)
        prepare_tcp(socket);
    return socket;
}

void prepare_tcp(const os::descriptor& socket)
{
    int on = 1;
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); // messages are written whole: nothing to gather
    ::setsockopt(socket.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on); // a machine that is gone is found out
}

std::string address_of(const os::descriptor& socket)
{
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&storage), &size) < 0)
        os::fail("asking for a socket's address");
    if (storage.ss_family == AF_UNIX) {
        auto* address = reinterpret_cast<const sockaddr_un*>(&storage);
        auto length = size - offsetof(sockaddr_un, sun_path);
        if (address->sun_path[0] == '\0')
            return "@" + std::string{address->sun_path + 1, std::strlen(address->sun_path + 1)};
        return {address->sun_path, ::strnlen(address->sun_path, length)};
    }
    char text[INET6_ADDRSTRLEN];
    if (storage.ss_family == AF_INET6) {
        auto* address = reinterpret_cast<const sockaddr_in6*>(&storage);
        ::inet_ntop(AF_INET6, &address->sin6_addr, text, sizeof text);
        return "[" + std::string{text} + "]:" + std::to_string(ntohs(address->sin6_port));
    }
    auto* address = reinterpret_cast<const sockaddr_in*>(&storage);
    ::inet_ntop(AF_INET, &address->sin_addr, text, sizeof text);
    return std::string{text} + ":" + std::to_string(ntohs(address->sin_port));
}

} // namespace coproc::detail
