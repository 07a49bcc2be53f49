#include <coproc/error.hpp>

#include <cstring>

namespace coproc {

namespace {

std::string describe(const worker_crashed::report& report)
{
    std::string text = "worker " + std::to_string(report.pid);
    if (report.signal != 0) {
        text += " was killed by signal " + std::to_string(report.signal);
        if (const char* name = ::sigabbrev_np(report.signal))
            text += " (SIG" + std::string{name} + ')';
    } else {
        text += " exited with code " + std::to_string(report.exit_code);
    }
    if (!report.task_name.empty())
        text += " while it ran task " + report.task_name + ", input " + std::to_string(report.index);
    if (!report.last_output.empty())
        text += "; its last output was:\n" + report.last_output;
    return text;
}

}  // namespace

worker_crashed::worker_crashed(report what_happened)
    : error{describe(what_happened)}, report_{std::make_shared<const report>(std::move(what_happened))}
{
}

remote_error::~remote_error() = default;

}  // namespace coproc
