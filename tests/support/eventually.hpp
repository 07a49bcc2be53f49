// Waiting for something that gives no notice, such as a state in /proc. What can be awaited should be awaited instead.
#pragma once

#include <chrono>
#include <thread>

namespace support {

/// Asks `predicate` until it is true or `limit` has passed, and returns its last answer. It is asked at least once, and
/// once more after the limit, so that a machine that stalls does not make a test fail.
template <class Predicate>
[[nodiscard]] bool eventually(Predicate predicate, std::chrono::milliseconds limit = std::chrono::seconds{5})
{
    // Short against what tests wait for, long against the cost of a look at /proc.
    constexpr std::chrono::milliseconds nap{2};
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!predicate()) {
        if (std::chrono::steady_clock::now() >= end)
            return predicate();
        std::this_thread::sleep_for(nap);
    }
    return true;
}

} // namespace support
