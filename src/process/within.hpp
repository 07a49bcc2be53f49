// An operation with a limit of time.
#pragma once

#include <coproc/task.hpp>

#include <chrono>

namespace coproc::detail {

/// Awaits `operation` for at most `time`. True: it ended in time. False: it did not, was cancelled, and has come to its end.
///
/// Throws: what the operation throws, as soon as it does. If the caller is cancelled, so is the operation, and its
///         operation_aborted is thrown, once: no multiple_exceptions, which is what `operation || timer` would make of it.
/// An operation whose end coincides with that of the time may be reported as either: look at its effect again after false.
[[nodiscard]] task<bool> within(task<> operation, std::chrono::nanoseconds time);

} // namespace coproc::detail
