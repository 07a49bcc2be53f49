#pragma once

#include <coproc/serialize.hpp>

#include <cstddef>
#include <exception>

namespace coproc::detail {

/// Writes what is known about an exception that leaves a task: its standard type, what(), its type's name, this
/// process, the trace of its throw, its causes, and the fields of the library's own errors.
/// Never throws because of the exception itself (a what() that throws or returns null); throws std::bad_alloc.
/// `task_name` may be null; `index` is that of the input that failed.
void encode_exception(output_archive& out, std::exception_ptr exception, const char* task_name, std::size_t index);

/// The exception as an object of the standard type and of remote_error; see coproc/error.hpp.
/// Throws: protocol_error for bytes that encode_exception did not write.
std::exception_ptr decode_exception(input_archive& in);

}  // namespace coproc::detail
