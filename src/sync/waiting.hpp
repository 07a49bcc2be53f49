// How everything that can wait here waits: look, leave word, look again, sleep.
#pragma once

#include "sync/arena.hpp"
#include "sync/loop_party.hpp"
#include "sync/turn.hpp"

#include <coproc/detail/fairness.hpp>
#include <coproc/task.hpp>

#include <asio/this_coro.hpp>

#include <memory>
#include <utility>

namespace coproc::detail {

/// False: the time was up. Cancelling throws operation_aborted, and leaves no trace. `what` must live until the end.
template <waitable W>
task<bool> wait_for_turn(W& what, sleep_limit until)
{
    auto executor = co_await asio::this_coro::executor;
    auto& here = loop_party::of(executor);
    for (unsigned tries = 0;; ++tries) {
        auto s = loop_party::make_sleeper(executor);
        turn_in_line<W> turn{here, s, what};
        if (turn.look(tries))
            co_return true;
        auto sleep = loop_party::sleep(s, until);
        if (!co_await std::move(sleep))
            co_return false;
        turn.comes_back();
    }
}

/// Until a condition is met that nobody takes away: looks before it waits, and once more when the time is up.
template <waitable W>
task<bool> wait_until_met(std::shared_ptr<object_place> place, W what, sleep_limit until)
{
    static_cast<void>(place); // held while this waits
    if (had_its_turn()) {
        auto others = let_others_run();
        co_await std::move(others);
    }
    if (what.try_now(0, 0))
        co_return true;
    auto turn = wait_for_turn(what, until);
    bool woken = co_await std::move(turn);
    co_return woken || what.try_now(0, 0);
}

/// The same without a limit of time.
template <waitable W>
task<> wait_until_met(std::shared_ptr<object_place> place, W what)
{
    auto wait = wait_until_met(std::move(place), what, sleep_limit::max());
    static_cast<void>(co_await std::move(wait));
}

/// As wait_for_turn for a thread, which does nothing else meanwhile.
template <waitable W>
bool block_for_turn(W& what, sleep_limit until)
{
    auto& here = blocked_thread::here();
    for (unsigned tries = 0;; ++tries) {
        auto s = blocked_thread::make_sleeper();
        turn_in_line<W> turn{here, s, what};
        if (turn.look(tries))
            return true;
        if (!here.sleep(*s, until))
            return false;
        turn.comes_back();
    }
}

} // namespace coproc::detail
