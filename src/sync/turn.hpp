// Standing in line for something, and what is owed to the others at the end.
#pragma once

#include "sync/party.hpp"

#include <concepts>
#include <memory>
#include <utility>

namespace coproc::detail {

/// What a wait needs to know of its thing. `try_now(sleeper, tries)` looks, and takes what there is to take: true if that was
/// it; it is called once before the first sleep and after each. `pass_on(sleeper)`: somebody else is to be woken in our place;
/// called when we have left the line, so that it isn't us.
template <class W>
concept waitable = requires(W w, member sleeper) {
    { w.place() } -> std::same_as<gate&>;
    { w.how() } -> std::same_as<wakes>;
    { w.try_now(sleeper, 0u) } -> std::same_as<bool>;
    w.pass_on(sleeper);
};

/// Of some things there may be more than the one that woke us took: `static constexpr bool leaves_more = true`.
template <class W>
concept leaves_more = requires { requires W::leaves_more; };

/// In line from its construction to its end, and what is owed to the others then.
template <waitable W>
class turn_in_line {
public:
    turn_in_line(party& p, std::shared_ptr<sleeper> s, W& what) : party_{p}, sleeper_{std::move(s)}, what_{what}
    {
        try {
            party_.begin(sleeper_, what_.place(), what_.how());
        } catch (...) {
            what_.pass_on(party_.self()); // it may have been rung before it came back
            throw;
        }
    }
    ~turn_in_line()
    {
        party_.end(sleeper_, what_.place());
        if (owes_ && party_.is_ours())
            what_.pass_on(party_.self()); // it may have been rung, or given something, and leaves without
    }
    turn_in_line(const turn_in_line&) = delete;
    turn_in_line& operator=(const turn_in_line&) = delete;

    /// True: it has what it came for.
    bool look(unsigned tries)
    {
        bool has_it = what_.try_now(party_.self(), tries);
        owes_ = !has_it || leaves_more<W>;
        return has_it;
    }
    /// It looks again at once, in line once more.
    void comes_back() noexcept { owes_ = false; }

private:
    party& party_;
    std::shared_ptr<sleeper> sleeper_;
    W& what_;
    bool owes_ = true;
};

} // namespace coproc::detail
