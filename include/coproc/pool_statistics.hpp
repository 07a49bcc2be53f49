// A pool in numbers.
#pragma once

#include <coproc/task_statistics.hpp>

#include <cstddef>
#include <cstdint>

namespace coproc {

/// A moment in a pool's life. Workers that were told to stop, or leave, are not counted any more; tasks are elements of
/// maps and streams, and a call of apply or submit is one.
struct pool_statistics {
    // Workers: workers == starting + busy + idle.
    std::size_t workers = 0;
    std::size_t starting = 0; ///< their process is not known to run yet; tasks may have been sent to them
    std::size_t busy = 0;     ///< have tasks that have not ended
    std::size_t idle = 0;
    std::uint64_t replaced = 0; ///< so far: that died, or were told to stop for their age, memory, tasks, or by recycle

    // Tasks now.
    std::size_t waiting = 0; ///< here or in a worker's pipe. Of an input of unknown length, those that were taken from it
    std::size_t running = 0; ///< have begun; of elements that travel together, one

    // Tasks so far. done + failed have ended; those that were cancelled are nowhere.
    std::uint64_t done = 0;
    std::uint64_t failed = 0;    ///< for good, in whatever way
    std::uint64_t crashed = 0;   ///< of the failed: their worker died
    std::uint64_t timed_out = 0; ///< of the failed: ran for longer than call_options::timeout
    std::uint64_t retried = 0;   ///< tries after the first

    task_statistics measured; ///< the sum of what was asked for by call_options::measure
};

} // namespace coproc
