#include "pool/task_reports.hpp"

#include <coproc/this_task.hpp>

#include <utility>

namespace coproc {
namespace detail {
namespace {

constexpr std::uint64_t pace = 50'000'000; // ns: nobody reads more than 20 lines a second
constexpr std::size_t longest_text = 4096;

thread_local task_reports* current_reports = nullptr;

} // namespace

task_reports::task_reports() noexcept : before_{std::exchange(current_reports, this)} {}
task_reports::~task_reports() { current_reports = before_; }
task_reports* task_reports::current() noexcept { return current_reports; }

void task_reports::report(double fraction, std::string_view text, bool at_once)
{
    text = text.substr(0, longest_text);
    auto time = now();
    if (!at_once && last_ != 0 && time - last_ < pace) {
        kept_ = true;
        fraction_ = fraction;
        text_ = text;
        return;
    }
    kept_ = false;
    last_ = time;
    send(fraction, text, at_once);
}

void task_reports::flush()
{
    if (std::exchange(kept_, false))
        send(fraction_, text_, false);
}

} // namespace detail

namespace this_task {

void report_progress(double fraction, std::string_view text)
{
    if (auto* reports = detail::task_reports::current())
        reports->report(fraction, text, false);
}

void report_progress(at_once_t, double fraction, std::string_view text)
{
    if (auto* reports = detail::task_reports::current())
        reports->report(fraction, text, true);
}

} // namespace this_task
} // namespace coproc
