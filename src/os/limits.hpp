// What a process may use, and what it uses.
#pragma once

#include <chrono>
#include <cstddef>

namespace coproc::os {

/// Lowers this process's limits, for good; 0 leaves one as it is. `memory`: bytes of private writable memory (RLIMIT_DATA),
/// beyond which allocations fail; `cpu`: its processor time, after which it is killed by SIGXCPU; `files`: descriptors.
/// Throws std::system_error.
void limit_resources(std::size_t memory, std::chrono::seconds cpu, std::size_t files);

/// Bytes of this process's memory that are in RAM. 0 if the system doesn't tell. Costs about 1 µs.
[[nodiscard]] std::size_t resident_memory() noexcept;

/// Bytes of RAM and swap that this machine has, in use or not; SIZE_MAX if it doesn't tell.
[[nodiscard]] std::size_t memory_of_machine() noexcept;

/// Keeps this process on one of the processors that it may use: the `index`-th, counted round.
void pin_to_processor(std::size_t index);

} // namespace coproc::os
