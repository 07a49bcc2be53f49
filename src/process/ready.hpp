// Waiting until a descriptor is ready.
#pragma once

#include "os/descriptor.hpp"

#include <coproc/task.hpp>

#include <asio/posix/stream_descriptor.hpp>

namespace coproc::detail {

using waits = asio::posix::descriptor_base;

/// Completes when the descriptor is readable or writable, or has failed. It is copied for the wait, so that any number of
/// coroutines on any loops can wait for the same one, and it may be closed meanwhile. Cost: about 3 µs more than the wait.
/// Throws std::system_error. Cancel: operation_aborted.
[[nodiscard]] task<> ready(int number, waits::wait_type what);

} // namespace coproc::detail
