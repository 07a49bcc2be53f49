// Waiting for several things at once.
#pragma once

#include <coproc/connection.hpp>
#include <coproc/process.hpp>
#include <coproc/queue.hpp>
#include <coproc/task.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <ranges>
#include <vector>

namespace coproc {

/// A descriptor of the program's own, for wait_any: ready when it is readable, at its end or failed.
struct readable {
    int descriptor;
};

namespace detail {

/// Something that can be waited for; one of the last three says how.
///
/// A type takes part in wait_any by a function `waitable waitable_of(T&)` in its namespace, or here.
struct waitable {
    std::function<bool()> is_ready;                               ///< takes nothing away; asked again and again
    int descriptor = -1;                                          ///< may be ready when this is readable
    std::function<task<>()> wait;                                 ///< may be ready when this completes
    std::optional<std::chrono::steady_clock::time_point> at;      ///< is ready then
};

waitable waitable_of(connection& c);
waitable waitable_of(process& p);
waitable waitable_of(const readable& r);
waitable waitable_of(std::chrono::steady_clock::time_point at);
template <class Rep, class Period>
waitable waitable_of(const std::chrono::duration<Rep, Period>& time)
{
    return waitable_of(std::chrono::steady_clock::now() + std::chrono::ceil<std::chrono::steady_clock::duration>(time));
}

template <class T>
waitable waitable_of(const queue<T>& q)
{
    auto core = q.handle().core();
    waitable result;
    result.is_ready = [core] { return queue_size(*core) > 0 || queue_is_closed(*core); };
    result.wait = [core] { return wait_for_item(core); };
    return result;
}

template <class T>
void add_waitable(std::vector<waitable>& to, T& what)
{
    if constexpr (std::ranges::range<T>) {
        for (auto& one : what)
            add_waitable(to, one);
    } else if constexpr (constexpr bool known = requires { waitable_of(what); }; known)
        to.push_back(waitable_of(what));
    else
        static_assert(known,
                      "coproc: wait_any cannot wait for this, only for connections, processes, queues, durations, "
                      "points of time of the steady clock, coproc::readable, and ranges of these; "
                      "connections and processes must not be const");
}

task<std::vector<std::size_t>> wait_any_of(std::vector<waitable> what);

} // namespace detail

/// Completes when at least one of its arguments is ready, and gives the positions of all that are, in rising order.
///
/// Arguments: connections (ready when there is something to receive, or the end), queues (when there is an item, or the end),
///            processes (that ended), durations from now and points of time of the steady clock, `readable` descriptors; and
///            ranges of these, whose elements count one by one. They must not be moved or destroyed meanwhile.
/// Nothing is taken away: what is ready is so again at the next call, until it is received. A connection is ready with the
/// first bytes of a message: receiving it may wait for the rest.
/// Throws: usage_error for an empty connection or process, or for nothing at all to wait for; std::system_error.
/// Cancel: operation_aborted; nothing is lost.
/// Cost:   two descriptors, however many are waited for; one or two system calls for each of them.
template <class... T>
[[nodiscard]] task<std::vector<std::size_t>> wait_any(T&&... what)
{
    std::vector<detail::waitable> all;
    (detail::add_waitable(all, what), ...);
    return detail::wait_any_of(std::move(all));
}

} // namespace coproc
