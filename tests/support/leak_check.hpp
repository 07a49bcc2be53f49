// After every test case the process must have what it had before: descriptors, descendants, threads, mapped memory
// files. What is left is printed, and the program's exit code is 1 (a Catch2 listener cannot fail a test case, but
// under ctest each has a process of its own).
#pragma once

namespace support {

/// Gives what is on its way out up to two seconds to end, and tells whether all that was not there at the start of the
/// test case, and is not standing (see standing.hpp), is gone. For the middle of a test; its end is checked anyway.
[[nodiscard]] bool settle();

/// Test cases of this process that left something behind.
[[nodiscard]] int leaks_found();

} // namespace support
