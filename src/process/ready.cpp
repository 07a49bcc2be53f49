#include "process/ready.hpp"

#include "os/calls.hpp"
#include "os/error.hpp"

#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

namespace coproc::detail {
namespace {

using asio::use_awaitable;

// A copy of a descriptor that Asio watches. It is not given to Asio to close, as a process made by fork must know it among
// the descriptors to be closed there.
class watched_copy {
public:
    watched_copy(os::descriptor copy, const asio::any_io_executor& executor) : copy_{std::move(copy)}, watched_{executor, copy_.get()} {}
    ~watched_copy() { static_cast<void>(watched_.release()); }
    watched_copy(const watched_copy&) = delete;
    watched_copy& operator=(const watched_copy&) = delete;

    auto wait(waits::wait_type what) { return watched_.async_wait(what, use_awaitable); }

private:
    os::descriptor copy_;
    asio::posix::stream_descriptor watched_;
};

os::descriptor copy_of(int number)
{
    int copy = os::duplicate(number);
    if (copy < 0)
        os::fail("waiting for a descriptor");
    return os::descriptor{copy};
}

} // namespace

task<> ready(int number, waits::wait_type what)
{
    watched_copy watched{copy_of(number), co_await asio::this_coro::executor};
    auto wait = watched.wait(what);
    co_await std::move(wait);
}

} // namespace coproc::detail
