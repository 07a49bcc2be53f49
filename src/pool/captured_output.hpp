// What a worker writes to standard error, if its pool captures that: it is passed on, and its end is kept for reports.
#pragma once

#include "os/descriptor.hpp"
#include "os/watch_set.hpp"

#include <cstdint>
#include <string>

namespace coproc::detail {

class captured_output {
public:
    /// `set` reports by the token that there is something to be passed on.
    captured_output(const os::watch_set& set, std::uint64_t token, os::descriptor from);
    ~captured_output();
    captured_output(const captured_output&) = delete;
    captured_output& operator=(const captured_output&) = delete;

    /// To this process's standard error, as much as is there.
    void pass_on();
    [[nodiscard]] std::string last_lines() const;

private:
    const os::watch_set& set_;
    std::uint64_t token_;
    os::descriptor from_;
    std::string text_; ///< its end, and maybe more
};

} // namespace coproc::detail
