// How many cores this process may use.
#pragma once

namespace coproc {

/// The number of usable cores, at least 1: the smallest of what the machine has, what the affinity mask allows and what the
/// cgroup's CPU quota gives (rounded up; versions 1 and 2, all levels up to the root). Costs some file reads.
[[nodiscard]] int cpu_count();

} // namespace coproc
