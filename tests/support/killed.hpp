// Copies of this process, made by a bare fork, that are killed while they do something.
//
// What one process does, others see in two ways: it writes to memory that they share, or makes a system call. So these are
// the steps at which its death can make a difference; instructions between them may be left out, and calls that are about its
// own memory.
#pragma once

#include "support/slowness.hpp"

#include <functional>

namespace support {

struct life_of_a_copy {
    std::function<void()> prepare{};    ///< before each copy is made
    std::function<void()> first{};      ///< in the copy, unharmed
    std::function<void()> beside{};     ///< here, when the copy has done that
    std::function<void()> body{};       ///< in the copy, which is killed
    std::function<void(int)> check{};   ///< after its death, with the number of steps that it made
    int sparse = 1;                     ///< under a sanitizer, which makes instructions many, every so many steps
    bool together = false;              ///< `body` and `beside` wait for each other: killed after a few of both
};

/// Kills one copy before the first step of `body`, another one before the second, and so on; the last one ends by itself.
/// Gives the number of steps. 0: not on this processor. Throws when a copy dies of something else.
/// Memory that is shared must be mapped before `body`. At most two pages are written to by one instruction.
int killed_before_each_step(const life_of_a_copy& life);

/// A thousand; under a sanitizer, where a fork is dear, fewer.
inline constexpr int many_deaths = 1000 / (slowness * slowness * slowness);

/// `many_deaths` copies do `body` again and again, and are killed at some moment within their first 200 microseconds, while
/// `beside` is done here a few times; nobody hears of the number of steps.
void killed_at_any_moment(const life_of_a_copy& life);

} // namespace support
