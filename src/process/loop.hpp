// The event loop of a thread.
#pragma once

#include <asio/any_io_executor.hpp>
#include <asio/io_context.hpp>

#include <optional>

namespace coproc::detail {

/// This thread's loop, made at the first call. coproc::run and sync_wait run it; nobody else does.
[[nodiscard]] asio::io_context& this_thread_loop();
/// Its executor while coproc runs it in this thread, further up the stack; nothing otherwise.
[[nodiscard]] std::optional<asio::any_io_executor> running_loop();
/// Who has one runs this thread's loop a turn at a time and does other things in between, sync_wait too.
class loop_turns {
public:
    /// Throws usage_error if the loop is being run.
    loop_turns();
    /// The loop rests.
    ~loop_turns();
    loop_turns(const loop_turns&) = delete;
    loop_turns& operator=(const loop_turns&) = delete;

    /// Calls a handler, if one is ready. Throws what it throws.
    bool poll_one();
    /// The same, and waits until one is ready. False: somebody has stopped the loop.
    bool run_one();
    /// Destroys the loop and all that is on it. A sync_wait in between does that too when an exception leaves the loop.
    void give_up();
    [[nodiscard]] bool given_up() const noexcept;
};

/// In a forked child: the loop of the parent stays as it is and is never used again.
void forget_loops() noexcept;

} // namespace coproc::detail
