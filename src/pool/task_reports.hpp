// What a running task reports of itself (this_task::report_progress), on its way to the pool.
#pragma once

#include "pool/worker_channel.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace coproc::detail {

/// While one lives, the thread that made it runs a task, whose reports it sends: not too often, and the last one in any case.
class task_reports {
public:
    task_reports() noexcept;
    task_reports(const task_reports&) = delete;
    task_reports& operator=(const task_reports&) = delete;
    virtual ~task_reports();

    void report(double fraction, std::string_view text, bool at_once);
    /// Sends what was kept. To be called when the task has ended.
    void flush();
    /// This thread's; null if it runs no task.
    [[nodiscard]] static task_reports* current() noexcept;

private:
    virtual void send(double fraction, std::string_view text, bool at_once) = 0;

    std::uint64_t last_ = 0; ///< when one was sent
    bool kept_ = false;
    double fraction_ = 0;
    std::string text_;
    task_reports* before_;
};

/// In a worker; `task` must live as long.
class worker_reports final : public task_reports {
public:
    worker_reports(worker_channel& channel, const claimed_task& task) noexcept : channel_{channel}, task_{task} {}

private:
    void send(double fraction, std::string_view text, bool at_once) override { channel_.send_report(task_, fraction, text, at_once); }

    worker_channel& channel_;
    const claimed_task& task_;
};

} // namespace coproc::detail
