#pragma once

#include <exception>
#include <string>

namespace coproc::detail {

/// While one of these lives, the stacks of the throws of this thread are remembered (the last few, 48 frames each),
/// so that an exception that leaves a task can say where it came from. Nests.
///
/// How:   this file defines a weak `__cxa_throw` that notes the return addresses and goes on to the runtime's own.
///        Where that one comes first (static libstdc++, clang's AddressSanitizer, a library loaded at run time), traces
///        are empty and nothing else changes.
/// Cost:  none outside; inside, a walk over the stack for each throw (measured: 0.2 µs a frame), no allocation.
class trace_scope {
public:
    trace_scope() noexcept;
    ~trace_scope();
    trace_scope(const trace_scope&) = delete;
    trace_scope& operator=(const trace_scope&) = delete;
};

/// The frames between the throw of `exception` in this thread and the task's entry, one a line, the throwing function
/// first; empty when they are not known. Cost: reads the symbols of each module once, milliseconds.
std::string trace_of(const std::exception_ptr& exception);

}  // namespace coproc::detail
