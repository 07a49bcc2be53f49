#include <coproc/cpu_count.hpp>

#include "os/cpu_quota.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sched.h>
#include <sstream>
#include <string>
#include <thread>

namespace coproc {
namespace os {
namespace {

std::string first_line(const std::string& path)
{
    std::ifstream file{path};
    std::string line;
    std::getline(file, line);
    return line;
}

double number(const std::string& text)
{
    std::istringstream in{text};
    double value = 0;
    return in >> value ? value : -1;
}

// The smallest quota from the cgroup `path` up to the root of its hierarchy.
template <class Quota>
double smallest(const std::string& mount, std::string path, Quota quota_at)
{
    double least = unlimited;
    for (;; path.resize(path.find_last_of('/'))) {
        least = std::min(least, quota_at(mount + path));
        if (path.empty() || path.find('/') == std::string::npos)
            return least;
    }
}

} // namespace

double quota_v2(const std::string& cpu_max)
{
    std::istringstream in{cpu_max};
    double quota = 0, period = 0;
    return in >> quota >> period && quota > 0 && period > 0 ? quota / period : unlimited; // "max 100000" is no number
}

double quota_v1(const std::string& quota, const std::string& period)
{
    double q = number(quota), p = number(period);
    return q > 0 && p > 0 ? q / p : unlimited;
}

double cpu_quota(const std::string& root)
{
    double least = unlimited;
    std::ifstream groups{root + "/proc/self/cgroup"};
    for (std::string line; std::getline(groups, line);) { // hierarchy:controllers:path
        auto first = line.find(':'), second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos)
            continue;
        auto controllers = "," + line.substr(first + 1, second - first - 1) + ",";
        auto path = line.substr(second + 1);
        if (path == "/")
            path.clear();
        if (controllers == ",,")
            for (auto mount : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"})
                least = std::min(least, smallest(root + mount, path, [](const std::string& at) { return quota_v2(first_line(at + "/cpu.max")); }));
        else if (controllers.find(",cpu,") != std::string::npos)
            for (auto mount : {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"})
                least = std::min(least, smallest(root + mount, path, [](const std::string& at) {
                    return quota_v1(first_line(at + "/cpu.cfs_quota_us"), first_line(at + "/cpu.cfs_period_us"));
                }));
    }
    return least;
}

} // namespace os

int cpu_count()
{
    int count = static_cast<int>(std::thread::hardware_concurrency());
    cpu_set_t set; // 1024 cores; a larger machine makes the call fail, and its quota counts
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        count = CPU_COUNT(&set);
    double quota = os::cpu_quota("");
    if (quota < count)
        count = static_cast<int>(std::ceil(quota));
    return std::max(count, 1);
}

} // namespace coproc
