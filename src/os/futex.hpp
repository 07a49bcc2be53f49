// Sleeping on a word in shared memory.
#pragma once

#include <atomic>
#include <cstdint>

namespace coproc::os {

/// Sleeps while `word` is `value`, until woken; may return for no reason. For words that processes share.
void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t value) noexcept;
void futex_wake(std::atomic<std::uint32_t>& word) noexcept;

} // namespace coproc::os
