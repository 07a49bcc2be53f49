// What a task in a worker knows of itself.
#pragma once

#include <string_view>

namespace coproc::this_task {

/// Whether the task that runs in this process should end: its call was cancelled or has failed elsewhere, or its time is
/// up. A long task asks now and then and returns, with whatever value, or throws: nobody waits for its result any more. One
/// that doesn't is stopped after a time of grace (pool_options::grace), by SIGTERM and then SIGKILL.
///
/// Any thread of the worker may ask; a task that is a coroutine is cancelled at its next co_await instead, and sees it in
/// its asio::this_coro::cancellation_state. False outside of a worker's task.
/// There is no std::stop_token beside it: its callbacks would need a thread to run on, and the only one runs the task.
/// Cost: reads one word of memory.
[[nodiscard]] bool stop_requested() noexcept;

/// Tells whoever awaits this task how far it is: call_options::on_progress gets `fraction` (0 to 1 by convention) and `text`
/// (its first 4096 bytes) before the task's result.
///
/// A task may report as often as it likes: at most 20 reports a second are sent. Of those in between the last one is kept, and
/// sent when the task ends, unless it reports again after that time. One that must not be left out says at_once.
///
/// From the task's own thread; elsewhere it does nothing. In a coroutine it does nothing either unless its worker runs one at
/// a time (pool_options::concurrency is 1), as nobody could tell which of them reports; let it be a generator then.
/// Cost: a look at the clock; of one that is sent, 2 us.
void report_progress(double fraction, std::string_view text = {});
struct at_once_t {
    explicit at_once_t() = default;
};
inline constexpr at_once_t at_once{};
void report_progress(at_once_t, double fraction, std::string_view text = {});

} // namespace coproc::this_task
