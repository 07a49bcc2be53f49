// How a failed system call becomes an exception.
#pragma once

namespace coproc::os {

/// Throws std::system_error with `error` (an errno value; errno itself by default) and the operation that failed, in
/// words a caller can act on: "making a pipe".
[[noreturn]] void fail(const char* operation);
[[noreturn]] void fail(int error, const char* operation);

} // namespace coproc::os
