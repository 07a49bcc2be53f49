#include "os/doorbell.hpp"

#include "os/calls.hpp"
#include "os/error.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <linux/sockios.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

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

// Whether what it has sent, and nobody has read, is as much as it may send.
bool is_full(int socket) noexcept
{
    int unread = 0, most = 0;
    socklen_t size = sizeof most;
    return ::ioctl(socket, SIOCOUTQ, &unread) == 0 && ::getsockopt(socket, SOL_SOCKET, SO_SNDBUF, &most, &size) == 0 && unread >= most;
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
    int fresh = -1; // a socket that has sent nothing
    for (bool rung = false;;) {
        if (::sendto(fresh < 0 ? socket_.get() : fresh, "", 1, MSG_NOSIGNAL, at.get(), at.size) >= 0)
            rung = true;
        else if (errno == EINTR)
            continue;
        else if (errno == ENOBUFS || errno == ENOMEM) {
            ::sched_yield(); // it must be rung, and there will be memory
            continue;
        } else if (errno == EAGAIN) {
            // Either it has not read the last rings yet, or 277 others have not read theirs: what they haven't read counts
            // against who sent it.
            if (fresh < 0 && (fresh = os::make_socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK)) >= 0)
                continue;
            if (fresh < 0 && is_full(socket_.get())) {
                ::sched_yield();
                continue;
            }
            rung = true;
        }
        if (fresh >= 0)
            ::close(fresh);
        return rung;
    }
}

} // namespace coproc::os
