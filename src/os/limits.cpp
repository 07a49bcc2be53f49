#include "os/limits.hpp"

#include "os/descriptor.hpp"
#include "os/error.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <unistd.h>

namespace coproc::os {
namespace {

void lower(__rlimit_resource which, rlim_t soft, rlim_t hard, const char* what)
{
    rlimit limit{};
    if (::getrlimit(which, &limit) < 0)
        fail(what);
    limit.rlim_max = std::min(limit.rlim_max, hard);
    limit.rlim_cur = std::min(limit.rlim_max, soft);
    if (::setrlimit(which, &limit) < 0)
        fail(what);
}

} // namespace

void limit_resources(std::size_t memory, std::chrono::seconds cpu, std::size_t files)
{
    if (memory != 0)
        lower(RLIMIT_DATA, memory, memory, "limiting a process's memory");
    if (cpu.count() > 0) // SIGXCPU can be caught; SIGKILL, a second later, can't
        lower(RLIMIT_CPU, static_cast<rlim_t>(cpu.count()), static_cast<rlim_t>(cpu.count()) + 1, "limiting a process's time");
    if (files != 0)
        lower(RLIMIT_NOFILE, files, files, "limiting a process's files");
}

std::size_t resident_memory() noexcept
{
    static const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    int file = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    char text[128]{};
    auto size = ::read(file, text, sizeof text - 1);
    ::close(file);
    const char* second = size > 0 ? std::strchr(text, ' ') : nullptr;
    return second ? std::strtoull(second, nullptr, 10) * page : 0;
}

std::size_t memory_of_machine() noexcept
{
    struct sysinfo info{};
    if (::sysinfo(&info) < 0)
        return SIZE_MAX;
    return (info.totalram + info.totalswap) * info.mem_unit;
}

void pin_to_processor(std::size_t index)
{
    cpu_set_t allowed;
    if (::sched_getaffinity(0, sizeof allowed, &allowed) < 0)
        fail("asking for usable processors");
    auto count = static_cast<std::size_t>(CPU_COUNT(&allowed));
    cpu_set_t one;
    CPU_ZERO(&one);
    for (std::size_t cpu = 0, seen = 0; cpu < CPU_SETSIZE; ++cpu)
        if (CPU_ISSET(cpu, &allowed) && seen++ == index % count)
            CPU_SET(cpu, &one);
    if (::sched_setaffinity(0, sizeof one, &one) < 0)
        fail("pinning a process");
}

} // namespace coproc::os
