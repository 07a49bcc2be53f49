// Who is in line at a gate.
#pragma once

#include "sync/parties.hpp"

#include "sync/gate.hpp"
#include "sync/party.hpp"
#include "sync/registry.hpp"

#include <chrono>
#include <memory>
#include <utility>

namespace sync_test {

namespace detail = coproc::detail;

inline constexpr auto no_limit = detail::sleep_limit::max();

/// In line at a gate until its end, in this thread or a loop.
struct in_line {
    detail::party& here;
    std::shared_ptr<detail::sleeper> who;
    detail::gate& at;

    in_line(detail::party& p, std::shared_ptr<detail::sleeper> s, detail::gate& g, detail::wakes how)
        : here{p}, who{std::move(s)}, at{g}
    {
        here.begin(who, at, how);
    }
    ~in_line() { here.end(who, at); }
    in_line(const in_line&) = delete;
    in_line& operator=(const in_line&) = delete;
};

/// In line in the thread that makes it.
struct blocked : in_line {
    explicit blocked(detail::gate& g, detail::wakes how = detail::wakes::one)
        : in_line{detail::blocked_thread::here(), detail::blocked_thread::make_sleeper(), g, how}
    {
    }
    bool sleep(detail::sleep_limit until = no_limit) { return detail::blocked_thread::here().sleep(*who, until); }
    /// Looks whether it was rung, and doesn't wait.
    bool rung() { return sleep(std::chrono::steady_clock::now()); }
};

/// A process that takes part, and says so.
inline task<> takes_part(shared_value<int> here)
{
    here.fetch_add(1);
    auto end = wait_for_the_end();
    co_await std::move(end);
}

inline detail::registry& everybody() { return detail::registry::here(); }

} // namespace sync_test
