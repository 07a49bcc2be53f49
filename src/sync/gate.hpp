// Where sleepers of all processes leave word that they wait for one thing.
//
// The rule that loses no wake-up: who is about to sleep leaves word first and then looks at the thing once more; who
// changes the thing does so first and then looks whether anybody left word. All of it is sequentially consistent, so one of
// the two sees the other.
//
// Who wakes a sleeper takes its word out. Which one is woken is a matter of fairness, never of correctness: a sleeper that
// doesn't use what it was woken for (it was cancelled) wakes another one, and one that dies wakes all (see registry.hpp).
#pragma once

#include "sync/cell.hpp"
#include "sync/registry.hpp"

#include <array>
#include <cstdint>

namespace coproc::detail {

/// In shared memory; all zero at first. One line of the processor's cache.
struct alignas(64) gate {
    std::array<cell<member>, gate_places> waiting;
    cell<std::uint32_t> crowd; ///< more sleepers than places: whoever sleeps in the program may be one of them
    cell<std::uint32_t> turn;  ///< where to look first, so that everybody's turn comes
};
static_assert(sizeof(gate) == 64);

enum class word { none, in_its_place, in_the_crowd };

/// Leaves word, unless it is there. Who is in the crowd can't tell what it is rung for.
[[nodiscard]] word leave_word(gate& at, member sleeper, const registry& all) noexcept;
/// Takes it back from its place, if it is still there.
void take_word_back(gate& at, member sleeper) noexcept;
[[nodiscard]] bool has_place(const gate& at, member sleeper) noexcept;
/// Whether anybody left word: a look costs less than waking nobody.
[[nodiscard]] bool has_word(const gate& at) noexcept;
/// Wakes one sleeper, and now and then the whole crowd, as it does if nobody else is there. False: there was none.
bool wake_one(gate& at, const registry& all) noexcept;
void wake_all(gate& at, const registry& all) noexcept;
/// Wakes the sleepers of one process, and whoever may be in the crowd.
void wake_process(gate& at, member process, const registry& all) noexcept;

} // namespace coproc::detail
