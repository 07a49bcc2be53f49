#include "pool/usage_meter.hpp"

#include <algorithm>

namespace coproc {
namespace detail {
namespace {

std::chrono::nanoseconds time(const timeval& t) { return std::chrono::seconds{t.tv_sec} + std::chrono::microseconds{t.tv_usec}; }
std::uint64_t more(long now, long before) { return static_cast<std::uint64_t>(std::max(now - before, 0L)); }

} // namespace

task_statistics usage_meter::read() const noexcept
{
    rusage now{};
    ::getrusage(RUSAGE_SELF, &now);
    task_statistics result;
    result.user_time = time(now.ru_utime) - time(begin_.ru_utime);
    result.system_time = time(now.ru_stime) - time(begin_.ru_stime);
    result.peak_memory = static_cast<std::size_t>(now.ru_maxrss) * 1024;
    result.peak_growth = static_cast<std::size_t>(more(now.ru_maxrss, begin_.ru_maxrss)) * 1024;
    result.waits = more(now.ru_nvcsw, begin_.ru_nvcsw);
    result.preemptions = more(now.ru_nivcsw, begin_.ru_nivcsw);
    result.page_faults = more(now.ru_minflt, begin_.ru_minflt);
    result.disk_faults = more(now.ru_majflt, begin_.ru_majflt);
    return result;
}

} // namespace detail

task_statistics& task_statistics::operator+=(const task_statistics& other) noexcept
{
    wall_time += other.wall_time;
    user_time += other.user_time;
    system_time += other.system_time;
    peak_memory = std::max(peak_memory, other.peak_memory);
    peak_growth += other.peak_growth;
    waits += other.waits;
    preemptions += other.preemptions;
    page_faults += other.page_faults;
    disk_faults += other.disk_faults;
    return *this;
}

} // namespace coproc
