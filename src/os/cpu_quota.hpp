// The share of the machine that control groups leave to this process.
#pragma once

#include <limits>
#include <string>

namespace coproc::os {

inline constexpr double unlimited = std::numeric_limits<double>::infinity();

/// In cores. `root` is put before /proc and /sys, so that tests can show it another machine.
[[nodiscard]] double cpu_quota(const std::string& root);
/// What the file cpu.max of cgroup version 2 says: "QUOTA PERIOD" or "max PERIOD".
[[nodiscard]] double quota_v2(const std::string& cpu_max);
/// What cpu.cfs_quota_us (-1: none) and cpu.cfs_period_us of version 1 say.
[[nodiscard]] double quota_v1(const std::string& quota, const std::string& period);

} // namespace coproc::os
