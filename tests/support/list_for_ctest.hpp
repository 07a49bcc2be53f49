// How ctest learns of the test cases: the program writes them down as ctest commands when it is built.
#pragma once

namespace support {

/// Writes to `file` one add_test for each test case of this program that is not hidden, named "ROOM: TEST CASE". The
/// room and the tags become labels, so that `ctest -L threads` or `ctest -L PRC-021` finds its tests.
/// `program` is the path under which ctest is to start this program. Returns main's exit code.
int list_for_ctest(const char* program, const char* file, const char* room);

} // namespace support
