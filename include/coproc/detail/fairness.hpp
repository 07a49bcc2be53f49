// Operations that need not wait complete at once, without their loop: nothing is faster. But a coroutine that does nothing
// else would keep timers, signals, limits of time and everybody else on that loop waiting for ever. So now and then such an
// operation lets the loop run first, and can be cancelled there:
//
//     if (had_its_turn()) {
//         auto others = let_others_run();
//         co_await std::move(others);
//     }
#pragma once

#include <coproc/task.hpp>

namespace coproc::detail {

/// Counts the operations of this thread: true for one of 128, which costs the others a few nanoseconds each.
[[nodiscard]] bool had_its_turn() noexcept;
/// Until whatever is ready on this loop has run. Throws what a cancellation throws.
[[nodiscard]] task<> let_others_run();

} // namespace coproc::detail
