#include "os/watch_set.hpp"

#include "os/calls.hpp"
#include "os/error.hpp"

#include <array>
#include <cerrno>
#include <sys/epoll.h>

namespace coproc::os {

watch_set::watch_set()
{
    int number = os::make_watch_set();
    if (number < 0)
        fail("making an epoll instance");
    set_ = descriptor{number};
    if (number <= 2)
        set_ = set_.duplicate();
}

void watch_set::add(int descriptor, std::uint32_t events, std::uint64_t token) const
{
    epoll_event event{};
    event.events = events | EPOLLET;
    event.data.u64 = token;
    if (::epoll_ctl(set_.get(), EPOLL_CTL_ADD, descriptor, &event) < 0)
        fail("watching a descriptor");
}

void watch_set::add_readable(int descriptor, std::uint64_t token) const { add(descriptor, EPOLLIN, token); }
void watch_set::add_writable(int descriptor, std::uint64_t token) const { add(descriptor, EPOLLOUT, token); }
void watch_set::remove(int descriptor) const noexcept { ::epoll_ctl(set_.get(), EPOLL_CTL_DEL, descriptor, nullptr); }

void watch_set::collect(std::vector<std::uint64_t>& tokens) const
{
    std::array<epoll_event, 64> events;
    for (;;) {
        int count = ::epoll_wait(set_.get(), events.data(), static_cast<int>(events.size()), 0);
        for (int i = 0; i < count; ++i)
            tokens.push_back(events[static_cast<std::size_t>(i)].data.u64);
        if (count < static_cast<int>(events.size()) && !(count < 0 && errno == EINTR))
            return;
    }
}

} // namespace coproc::os
