// Tasks that end when they are asked to, that don't, and that fail some times before they go well.
#pragma once

#include "pool/board.hpp"
#include "pool/coroutines.hpp"
#include "pool/tasks.hpp"
#include "support/proc.hpp"

#include <coproc/this_task.hpp>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

namespace pool_test {

/// Waits, while the loop goes on, until `predicate` is true; false if that takes too long.
template <class Predicate>
coproc::task<bool> comes_true(const Predicate& predicate)
{
    asio::steady_timer timer{co_await asio::this_coro::executor};
    for (int tries = 0; !predicate() && tries < 15'000; ++tries) {
        timer.expires_after(std::chrono::milliseconds{2});
        co_await timer.async_wait(asio::use_awaitable);
    }
    co_return predicate();
}

// Word 0: how many have begun. Word 2: how many were asked to stop and saw it. Word 9: the pid of the last one.

/// Ends when it is asked to.
inline int polite(const std::string& path)
{
    words_in(path)[9] = static_cast<std::uint32_t>(::getpid());
    note(path, 0);
    while (!coproc::this_task::stop_requested())
        ::usleep(200);
    note(path, 2);
    return ::getpid();
}
inline int polite_to(const std::string& path, int) { return polite(path); }

/// Never ends.
inline int deaf(const std::string& path)
{
    words_in(path)[9] = static_cast<std::uint32_t>(::getpid());
    note(path, 0);
    for (;;)
        ::pause();
}

inline word* terminations = nullptr; // in the worker only

/// Never ends; each SIGTERM counts in word 3, and ends it if it is not `stubborn`.
inline int deaf_to_signals(const std::string& path, bool stubborn)
{
    terminations = &words_in(path)[3];
    std::signal(SIGTERM, stubborn ? [](int) { ++*terminations; } : [](int) { ++*terminations; ::_exit(0); });
    return deaf(path);
}

enum class fault { exception, crash, no_end };

/// Does not go well but at its `good`th try; gives the number of tries. Words 0: tries; 4: tries that began before the one
/// before had ended.
inline int goes_well_at(const std::string& path, fault what, std::uint32_t good)
{
    auto* board = words_in(path);
    auto last = static_cast<int>(board[9].exchange(static_cast<std::uint32_t>(::getpid())));
    if (board[5].exchange(1) != 0 && (last == ::getpid() || !support::has_ended(last)))
        note(path, 4);
    auto tries = note(path, 0);
    if (tries < good) {
        if (what == fault::no_end)
            for (;;)
                ::pause();
        if (what == fault::crash)
            ::kill(::getpid(), SIGKILL);
        board[5] = 0;
        throw std::runtime_error{"try " + std::to_string(tries)};
    }
    board[5] = 0;
    return static_cast<int>(tries);
}

/// Word 100 + n counts; an odd one throws, the seventh ends its worker.
inline int odd_fails(const std::string& path, int n)
{
    note(path, 100 + static_cast<std::size_t>(n));
    if (n == 7)
        ::kill(::getpid(), SIGKILL);
    if (n % 2 != 0)
        throw std::invalid_argument{"odd: " + std::to_string(n)};
    return n;
}

inline coproc::pool_options with_grace(int workers, std::chrono::milliseconds grace = std::chrono::milliseconds{20})
{
    coproc::pool_options options;
    options.workers = workers;
    options.grace = grace;
    return options;
}

inline std::vector<int> up_to(int n)
{
    std::vector<int> result;
    for (int i = 0; i < n; ++i)
        result.push_back(i);
    return result;
}

} // namespace pool_test
