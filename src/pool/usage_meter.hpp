// What this process uses, from one moment to another.
#pragma once

#include <coproc/task_statistics.hpp>

#include <sys/resource.h>

namespace coproc::detail {

class usage_meter {
public:
    usage_meter() noexcept { ::getrusage(RUSAGE_SELF, &begin_); }
    /// Since then; without the wall time.
    [[nodiscard]] task_statistics read() const noexcept;

private:
    rusage begin_{};
};

} // namespace coproc::detail
