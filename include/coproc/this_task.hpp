// What a task in a worker knows of itself.
#pragma once

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

} // namespace coproc::this_task
