// A test that hangs is a failure with a stack dump, not a time-out of the machine that ran it.
//
//     guard ── fork ──► test process ──► worker processes ...
//       ▲                    │ one page of shared memory: the test's name, when it must be done
//       └────────────────────┘
//
// The guard is the parent of the test process, so that nothing a test does to itself (blocked signals, a blocked main
// thread, no descriptors left) keeps the guard from its work, and so that the test process has neither a thread nor a
// child nor a descriptor for it. It also adopts what the test process leaves behind when it ends: that is a leak, and a failure.
#pragma once

#include <chrono>

namespace support {

/// Makes the calling process the guard of a new child and returns in that child; the guard itself exits as the child does,
/// or with 1 if processes were left, or with 124 if a limit was passed. Returns at once in a process that has a guard
/// already. COPROC_TEST_GUARD=off in the environment does without (for a debugger), =own makes one in any case (for the
/// guard's own tests).
void guard_this_program();

/// Gives the current test case `limit` from now on, instead of 60 seconds from its start, for as long as this lives; what
/// was left of the 60 is left afterwards.
/// Under a sanitizer every limit is three times as long. More than 75 seconds leave the guard no time for its stacks, as
/// ctest ends everything after 120.
class time_limit {
public:
    explicit time_limit(std::chrono::seconds limit);
    ~time_limit();
    time_limit(const time_limit&) = delete;
    time_limit& operator=(const time_limit&) = delete;

private:
    long left_;
};

} // namespace support
