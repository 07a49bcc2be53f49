// How a process ended.
#pragma once

namespace coproc {

class exit_status {
public:
    exit_status() noexcept = default;
    exit_status(int code, int signal) noexcept : code_{code}, signal_{signal} {}

    /// 0 to 255, or -1 if a signal ended it or nobody knows.
    [[nodiscard]] int code() const noexcept { return code_; }
    /// The signal that ended it, or 0.
    [[nodiscard]] int signal() const noexcept { return signal_; }
    /// It returned and its exit code is 0.
    [[nodiscard]] bool ok() const noexcept { return code_ == 0; }
    /// Foreign code in this program had reaped the process, and the kernel (before Linux 6.15) could not tell any more.
    [[nodiscard]] bool unknown() const noexcept { return code_ < 0 && signal_ == 0; }

    friend bool operator==(const exit_status&, const exit_status&) = default;

private:
    int code_ = -1;
    int signal_ = 0;
};

} // namespace coproc
