// A word in shared memory that several processes change.
#pragma once

#ifndef COPROC_EXPLORE // tests/sync/explorer.hpp brings its own: one that lets other processes run before each access

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace coproc::detail {

template <class T>
using cell = std::atomic<T>;

/// How many sleepers can leave word at a gate by name: with the two other words, what fits into a line of the cache.
inline constexpr std::size_t gate_places = 14;

/// How many processes an object can know by name that have a part in it: that hold something, wait, or have arrived.
inline constexpr std::uint32_t places_of_processes = 96;

/// Processes and sleepers of a program, and one.
inline constexpr std::uint32_t member_places = 8192;

/// See ledger.hpp.
inline constexpr std::uint32_t shares_in_an_entry = 58;

} // namespace coproc::detail

#endif
