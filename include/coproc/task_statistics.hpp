// What a task has cost.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace coproc {

/// What its worker used while a task ran, as getrusage counts it: all its threads, and the coroutines that ran beside it.
/// Processor times are as exact as the kernel's accounting, which may be some milliseconds.
struct task_statistics {
    std::chrono::nanoseconds wall_time{0};   ///< from when the worker began it until its result was encoded
    std::chrono::nanoseconds user_time{0};   ///< on a processor, in the program
    std::chrono::nanoseconds system_time{0}; ///< on a processor, in the kernel
    std::size_t peak_memory = 0;             ///< bytes: the most that the worker has had in RAM so far in its life
    std::size_t peak_growth = 0;             ///< bytes by which the task has raised that
    std::uint64_t waits = 0;                 ///< voluntary context switches: it waited for something
    std::uint64_t preemptions = 0;           ///< involuntary ones: others wanted the processor
    std::uint64_t page_faults = 0;           ///< without I/O: fresh memory, mostly
    std::uint64_t disk_faults = 0;           ///< with I/O

    /// Adds up; of peak_memory, the larger one.
    task_statistics& operator+=(const task_statistics& other) noexcept;
};

} // namespace coproc
