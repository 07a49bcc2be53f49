#include "os/descriptor.hpp"

#include "os/calls.hpp"
#include "os/error.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <mutex>
#include <string>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace coproc::os {
namespace {

// Which numbers are ours. Never destroyed: descriptors with static lifetime may be closed after it would have been.
struct table {
    std::mutex mutex;
    std::vector<bool> owned;

    void set(int number, bool value)
    {
        std::scoped_lock lock{mutex};
        auto i = static_cast<std::size_t>(number);
        if (i >= owned.size())
            owned.resize(i + 64);
        owned[i] = value;
    }
};
table& ours()
{
    static table& instance = *new table;
    return instance;
}

} // namespace

// The kernel hands out the lowest free number, which is 0, 1 or 2 in a program that closed its standard streams: such a
// number would turn the program's output into frames. Moves it out of the way.
descriptor adopt(int number, const char* operation)
{
    if (number < 0)
        fail(operation);
    if (number > 2)
        return descriptor{number};
    int moved = os::duplicate(number);
    int error = errno;
    ::close(number);
    if (moved < 0)
        fail(error, operation);
    return descriptor{moved};
}

descriptor_pair adopt_pair(const int (&ends)[2], const char* operation)
{
    descriptor first;
    try {
        first = adopt(ends[0], operation);
    } catch (...) {
        ::close(ends[1]);
        throw;
    }
    return {std::move(first), adopt(ends[1], operation)};
}

descriptor::descriptor(int number) noexcept : number_{number}
{
    if (number_ >= 0)
        ours().set(number_, true);
}

void descriptor::reset() noexcept
{
    if (int number = release(); number >= 0)
        ::close(number);
}

int descriptor::release() noexcept
{
    if (number_ >= 0)
        ours().set(number_, false);
    return std::exchange(number_, -1);
}

descriptor descriptor::duplicate() const
{
    int copy = os::duplicate(number_);
    if (copy < 0)
        fail("duplicating a descriptor");
    return descriptor{copy};
}

void descriptor::set_non_blocking(bool on) const
{
    int flags = ::fcntl(number_, F_GETFL);
    if (flags < 0 || ::fcntl(number_, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) < 0)
        fail("changing a descriptor's mode");
}

std::vector<int> owned_descriptors()
{
    std::scoped_lock lock{ours().mutex};
    std::vector<int> result;
    for (std::size_t i = 0; i < ours().owned.size(); ++i)
        if (ours().owned[i])
            result.push_back(static_cast<int>(i));
    return result;
}

void abandon_descriptors(std::initializer_list<int> kept) noexcept
{
    auto& owned = ours().owned; // no lock: one thread, and the original may have held it
    for (std::size_t i = 0; i < owned.size(); ++i)
        if (auto number = static_cast<int>(i); owned[i] && std::find(kept.begin(), kept.end(), number) == kept.end()) {
            ::close(number);
            owned[i] = false;
        }
}

descriptor_pair make_pipe()
{
    int ends[2];
    if (os::make_pipe(ends, 0) < 0)
        fail("making a pipe");
    return adopt_pair(ends, "making a pipe");
}

descriptor_pair make_packet_pair()
{
    int ends[2];
    if (os::make_socket_pair(SOCK_SEQPACKET, ends) < 0)
        fail("making a socket pair");
    return adopt_pair(ends, "making a socket pair");
}

descriptor make_event() { return adopt(os::make_event(EFD_NONBLOCK), "making an event descriptor"); }

void fill_standard_streams()
{
    for (int number : {0, 1, 2})
        if (::fcntl(number, F_GETFD) < 0 && errno == EBADF)
            static_cast<void>(::open("/dev/null", number == 0 ? O_RDONLY : O_WRONLY)); // the lowest free number is this one
}

descriptor open_file(const char* path, int flags, unsigned mode)
{
    return adopt(os::open(path, flags, mode), (std::string{"opening "} + path).c_str());
}

} // namespace coproc::os
