// What the hang guard prints before it kills.
#pragma once

#include <sys/types.h>

namespace support {

/// Prints to standard error, for `test` and every other descendant of `guard`: number, state, name, command line, where
/// in the kernel it waits, its descriptors, and if gdb is installed the stacks of all its threads. Takes at most about 40 seconds,
/// whatever gdb does. `test_case` is the name of the test case that ran.
void report_hang(pid_t guard, pid_t test, const char* test_case);

} // namespace support
