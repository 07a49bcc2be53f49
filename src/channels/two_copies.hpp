// Several words in shared memory that change as one, whoever dies meanwhile.
#pragma once

#include "sync/cell.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace coproc::detail {

/// There are two copies, and one store says which is valid: a change is written into the other one and becomes true by that
/// store. Who dies before it has changed nothing, who dies after it has changed everything: there is nothing to repair. One
/// may change it at a time, any number may read at any time. In shared memory; all zero at first.
template <class State>
class two_copies {
    static_assert(std::is_trivially_copyable_v<State> && sizeof(State) % 8 == 0);
    using words = std::array<std::uint64_t, sizeof(State) / 8>;

public:
    [[nodiscard]] State load() const noexcept
    {
        words copy;
        for (;;) {
            auto change = changes_.load(std::memory_order_acquire);
            for (std::size_t i = 0; i < copy.size(); ++i)
                copy[i] = copies_[change & 1][i].load(std::memory_order_acquire);
            if (changes_.load(std::memory_order_relaxed) == change)
                return std::bit_cast<State>(copy);
        }
    }
    /// Sequentially consistent with the gates' words (see gate.hpp).
    void store(const State& state) noexcept
    {
        auto changes = changes_.load(std::memory_order_relaxed) + 1;
        auto copy = std::bit_cast<words>(state);
        for (std::size_t i = 0; i < copy.size(); ++i)
            copies_[changes & 1][i].store(copy[i], std::memory_order_release);
        changes_.store(changes);
    }

private:
    cell<std::uint32_t> changes_; ///< the last bit says which copy is valid
    std::array<std::array<cell<std::uint64_t>, sizeof(State) / 8>, 2> copies_;
};

} // namespace coproc::detail
