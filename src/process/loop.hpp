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
/// In a forked child: the loop of the parent stays as it is and is never used again.
void forget_loops() noexcept;

} // namespace coproc::detail
