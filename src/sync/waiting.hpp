// How everything that can wait here waits: look, leave word, look again, sleep.
#pragma once

#include "sync/arena.hpp"
#include "sync/loop_party.hpp"

#include <coproc/task.hpp>

#include <asio/this_coro.hpp>

#include <memory>
#include <utility>

namespace coproc::detail {

/// What a wait needs to know of its thing. `try_now(tries)` looks, and takes what there is to take: true if that was it;
/// it is called once before the first sleep and after each. `pass_on()`: somebody else is to be woken in our place.
template <class W>
concept waitable = requires(W w, member sleeper) {
    { w.place() } -> std::same_as<gate&>;
    { w.how() } -> std::same_as<wakes>;
    { w.try_now(sleeper, 0u) } -> std::same_as<bool>;
    w.pass_on(sleeper);
};

/// In line from its construction to its end, and what is owed to the others then.
template <waitable W>
class turn_in_line {
public:
    turn_in_line(party& p, std::shared_ptr<sleeper> s, W& what) : party_{p}, sleeper_{std::move(s)}, what_{what}
    {
        party_.begin(sleeper_, what_.place(), what_.how());
    }
    ~turn_in_line()
    {
        party_.end(sleeper_, what_.place());
        if (!used_)
            what_.pass_on(party_.self()); // it may have been rung, or given something, and leaves without
    }
    turn_in_line(const turn_in_line&) = delete;
    turn_in_line& operator=(const turn_in_line&) = delete;

    /// True: it has what it came for.
    bool look(unsigned tries)
    {
        used_ = what_.try_now(party_.self(), tries);
        return used_;
    }
    /// It looks again at once, in line once more.
    void comes_back() noexcept { used_ = true; }

private:
    party& party_;
    std::shared_ptr<sleeper> sleeper_;
    W& what_;
    bool used_ = false;
};

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

/// The same for a thread, which does nothing else meanwhile.
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
