// What a new process does, from its first moment to its last.
#pragma once

#include "os/descriptor.hpp"

namespace coproc::detail {

/// Reads the order from `control`, becomes what it says, runs the call and ends the process.
///
/// The life of a process:
///   1. signals: none blocked, none handled; Ctrl-C of a terminal is left to the parent
///   2. the order; from here on the kernel kills the process when its parent dies
///   3. name, environment, directory, standard streams
///   4. the function is looked up: 'H' (hello) to the parent, or 'R' and the reason
///   5. the call; streams are flushed; _exit with its exit code. Static objects are not destroyed, as in any forked child:
///      they belong to the process that made them.
[[noreturn]] void become_child(os::descriptor control);

/// The same after a plain fork: closes what belongs to the parent first. No destructor of the parent's objects runs here,
/// as an Asio object would take itself out of the parent's event loop.
[[noreturn]] void become_forked_child(os::descriptor control);

/// If this execution of the program was made by coproc, becomes what it was made for; else returns.
void become_what_was_asked();

} // namespace coproc::detail
