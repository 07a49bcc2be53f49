#include "os/doorbell.hpp"

#include "os/calls.hpp"
#include "os/error.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sched.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace coproc::os {
namespace {

struct address {
    sockaddr_un name{};
    socklen_t size;

    explicit address(std::string_view text) noexcept
    {
        name.sun_family = AF_UNIX;
        std::size_t length = std::min(text.size(), sizeof name.sun_path - 1);
        std::memcpy(name.sun_path + 1, text.data(), length); // behind a zero: abstract
        size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + length);
    }
    const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&name); }
};

descriptor make_socket()
{
    int number = os::make_socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK);
    if (number < 0)
        fail("making a socket");
    descriptor socket{number};
    return number > 2 ? std::move(socket) : socket.duplicate();
}

} // namespace

doorbell::doorbell(std::string_view name) : socket_{make_socket()}
{
    address at{name};
    if (::bind(socket_.get(), at.get(), at.size) < 0)
        fail("naming a socket");
}

void doorbell::quiet() const noexcept
{
    char rings[16];
    while (::recv(socket_.get(), rings, sizeof rings, 0) >= 0 || errno == EINTR) {
    }
}

bell_ringer::bell_ringer() : socket_{make_socket()} {}

bool bell_ringer::ring(std::string_view name) const noexcept
{
    address at{name};
    for (;;) {
        if (::sendto(socket_.get(), "", 1, MSG_NOSIGNAL, at.get(), at.size) >= 0)
            return true;
        switch (errno) {
        case EAGAIN: return true; // it has not read the last ones yet
        case EINTR: break;
        case ENOBUFS:
        case ENOMEM: ::sched_yield(); break; // it must be rung, and there will be memory
        default: return false;
        }
    }
}

} // namespace coproc::os
