// The task that a worker runs, for coproc::this_task.
#pragma once

#include <atomic>
#include <cstdint>

namespace coproc::detail {

/// While one lives, the process runs a task whose slot of the page is `word`; it should stop when that is `stopping`.
class running_task {
public:
    running_task(const std::atomic<std::uint64_t>& word, std::uint64_t stopping) noexcept;
    ~running_task();
    running_task(const running_task&) = delete;
    running_task& operator=(const running_task&) = delete;
};

} // namespace coproc::detail
