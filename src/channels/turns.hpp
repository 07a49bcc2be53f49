// Coroutines that do the same thing one after the other, in the order in which they came.
#pragma once

#include <coproc/task.hpp>

#include <asio/execution_context.hpp>

#include <memory>
#include <mutex>
#include <system_error>
#include <vector>

namespace coproc::detail {

/// Whose turns they are.
struct turns_owner {
    virtual ~turns_owner() = default;
    /// Nobody is in the queue any more. Under the mutex.
    virtual void all_have_left() noexcept = 0;
};

/// A coroutine that waits for its turn: a completion handler of any type.
struct turn_waiter {
    virtual ~turn_waiter() = default;
    asio::execution_context* loop = nullptr;
    /// Posts the completion to its executor.
    virtual void wake(std::error_code error) = 0;
};

/// A queue of coroutines, of any loops and threads. Whoever is at its front has the turn.
///
/// The mutex is the owner's, and guards everything here. `turns` must outlive its places.
class turns {
public:
    explicit turns(std::mutex& mutex, turns_owner* owner = nullptr) noexcept : mutex_{mutex}, owner_{owner} {}
    turns(const turns&) = delete;
    turns& operator=(const turns&) = delete;

    /// Nobody has the turn. Under the mutex.
    [[nodiscard]] bool idle() const noexcept { return !first_; }
    /// Those who wait on a loop that ends: to be destroyed by the caller when it has released the mutex.
    void take(const asio::execution_context& loop, std::vector<std::unique_ptr<turn_waiter>>& to);

private:
    friend class place;
    std::mutex& mutex_;
    turns_owner* owner_;
    class place* first_ = nullptr; // the queue is a list of places through `before_` and `behind_`
    class place* last_ = nullptr;
};

/// A place in the queue, from its construction to its destruction; whoever is behind it moves up then. It lives in the
/// coroutine's own frame, so that a coroutine that fails, is cancelled or destroyed holds up nobody.
class place {
public:
    explicit place(turns& in);
    ~place();
    place(const place&) = delete;
    place& operator=(const place&) = delete;

    /// Whether it is at the front.
    [[nodiscard]] bool has_turn() { return at_once_ || is_first(); }
    /// Completes when it is. Only if it is not yet; once.
    /// Cancel: throws operation_aborted; the place is kept.
    [[nodiscard]] task<> wait();

private:
    friend class turns;
    template <class Handler>
    void begin_wait(Handler handler);
    void cancel();
    bool is_first();

    turns& in_;
    std::unique_ptr<turn_waiter> waiter_; // of its own coroutine, while it waits
    place* before_;
    place* behind_ = nullptr;
    bool at_once_; // it was alone when it came
};

} // namespace coproc::detail
