// The lock of a shared segment's own books.
#pragma once

#include <coproc/error.hpp>

#include <cstddef>

namespace coproc {

/// A process died while it changed a shared_segment, which nobody can change any more.
class broken_segment : public error {
public:
    broken_segment();
};

namespace detail {

/// A recursive mutex in shared memory that survives its owner. When a process dies while it has it, what it protects is
/// half changed: from then on `lock` throws broken_segment, for everyone; nobody waits for the dead.
/// Cost: 15 ns when free, no system call.
class segment_mutex {
public:
    segment_mutex();
    ~segment_mutex() = default; // it ends with its memory
    segment_mutex(const segment_mutex&) = delete;
    segment_mutex& operator=(const segment_mutex&) = delete;

    void lock();
    void unlock() noexcept;

private:
    alignas(8) std::byte storage_[40];
};

} // namespace detail

} // namespace coproc
