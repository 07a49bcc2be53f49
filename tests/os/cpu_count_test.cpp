// How many cores a process may use, shown other machines under a folder of its own.
#include "os/cpu_quota.hpp"
#include "support/temporary_folder.hpp"

#include <coproc/cpu_count.hpp>

#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <string>

#include <sched.h>

using namespace coproc;

namespace {

// A machine: files under a temporary folder.
class machine {
public:
    void file(const std::string& path, const std::string& text) const
    {
        const auto full = root() + path;
        std::filesystem::create_directories(std::filesystem::path{full}.parent_path());
        std::ofstream{full} << text << '\n';
    }
    [[nodiscard]] double quota() const { return os::cpu_quota(root()); }

private:
    [[nodiscard]] std::string root() const { return folder_.path().string(); }

    support::temporary_folder folder_;
};

} // namespace

TEST_CASE("a quota is told in cores, and what is no number is no limit", "[os]")
{
    CHECK(os::quota_v2("150000 100000") == 1.5);
    CHECK(os::quota_v2("max 100000") == os::unlimited);
    for (const char* nonsense : {"", "max", "100000", "0 100000", "100000 0", "-1 100000", "nonsense nonsense"})
        CHECK(os::quota_v2(nonsense) == os::unlimited);
    CHECK(os::quota_v1("50000", "100000") == 0.5);
    for (const char* nonsense : {"-1", "", "0", "x"})
        CHECK(os::quota_v1(nonsense, "100000") == os::unlimited);
    CHECK(os::quota_v1("50000", "") == os::unlimited);
    CHECK(os::quota_v1("50000", "0") == os::unlimited);
}

TEST_CASE("a machine without control groups has no quota", "[os]") { CHECK(machine{}.quota() == os::unlimited); }

TEST_CASE("control groups of version 2: the smallest quota up to the root counts", "[os][PRC-056]")
{
    machine m;
    m.file("/proc/self/cgroup", "0::/a/b/c");
    CHECK(m.quota() == os::unlimited);
    m.file("/sys/fs/cgroup/a/b/c/cpu.max", "400000 100000");
    CHECK(m.quota() == 4);
    m.file("/sys/fs/cgroup/a/cpu.max", "200000 100000");
    CHECK(m.quota() == 2);
    m.file("/sys/fs/cgroup/a/b/cpu.max", "max 100000");
    CHECK(m.quota() == 2);
    m.file("/sys/fs/cgroup/cpu.max", "50000 100000"); // as a container sees it, whose group is its root
    CHECK(m.quota() == 0.5);
    m.file("/sys/fs/cgroup/other/cpu.max", "10000 100000");
    CHECK(m.quota() == 0.5);
}

TEST_CASE("control groups of version 2 in the root group", "[os][PRC-056]")
{
    machine m;
    m.file("/proc/self/cgroup", "0::/");
    m.file("/sys/fs/cgroup/cpu.max", "300000 100000");
    CHECK(m.quota() == 3);
}

TEST_CASE("control groups of version 1: the hierarchy of the cpu controller counts, no other", "[os][PRC-056]")
{
    const std::string mount = GENERATE("cpu", "cpu,cpuacct");
    machine m;
    m.file("/proc/self/cgroup", "12:cpuset:/set\n5:cpu,cpuacct:/a/b\n1:name=systemd:/a");
    m.file("/sys/fs/cgroup/" + mount + "/a/b/cpu.cfs_quota_us", "-1");
    m.file("/sys/fs/cgroup/" + mount + "/a/b/cpu.cfs_period_us", "100000");
    CHECK(m.quota() == os::unlimited);
    m.file("/sys/fs/cgroup/" + mount + "/a/cpu.cfs_quota_us", "250000");
    m.file("/sys/fs/cgroup/" + mount + "/a/cpu.cfs_period_us", "100000");
    CHECK(m.quota() == 2.5);
    m.file("/sys/fs/cgroup/cpuset/set/cpu.cfs_quota_us", "10000");
    m.file("/sys/fs/cgroup/cpuset/set/cpu.cfs_period_us", "100000");
    CHECK(m.quota() == 2.5);
}

TEST_CASE("a hybrid machine: both versions count", "[os][PRC-056]")
{
    machine m;
    m.file("/proc/self/cgroup", "5:cpu:/a\n0::/b");
    m.file("/sys/fs/cgroup/unified/b/cpu.max", "300000 100000");
    CHECK(m.quota() == 3);
    m.file("/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "100000");
    m.file("/sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000");
    CHECK(m.quota() == 1);
}

TEST_CASE("lines of the group file that are nonsense are passed over", "[os]")
{
    machine m;
    m.file("/proc/self/cgroup", "\nnonsense\n1:2\n0::/a");
    m.file("/sys/fs/cgroup/a/cpu.max", "100000 100000");
    CHECK(m.quota() == 1);
}

TEST_CASE("there is at least one core, and no more than the affinity mask allows", "[os][PRC-056]")
{
    cpu_set_t before;
    REQUIRE(::sched_getaffinity(0, sizeof before, &before) == 0);
    CHECK(cpu_count() >= 1);
    CHECK(cpu_count() <= CPU_COUNT(&before));
    cpu_set_t one;
    CPU_ZERO(&one);
    int first = 0;
    while (!CPU_ISSET(static_cast<std::size_t>(first), &before))
        ++first;
    CPU_SET(static_cast<std::size_t>(first), &one);
    REQUIRE(::sched_setaffinity(0, sizeof one, &one) == 0);
    CHECK(cpu_count() == 1);
    ::sched_setaffinity(0, sizeof before, &before);
}
