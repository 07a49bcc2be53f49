#include "support/proc.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <sstream>

#include <csignal>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

namespace support {
namespace {

namespace fs = std::filesystem;

fs::path folder_of(pid_t process) { return fs::path{"/proc"} / std::to_string(process); }

template <class Visit>
void for_each_number(const fs::path& folder, Visit visit)
{
    std::error_code failed;
    fs::directory_iterator entry{folder, failed}, end;
    while (!failed && entry != end) {
        const std::string name = entry->path().filename();
        if (!name.empty() && name.find_first_not_of("0123456789") == std::string::npos)
            visit(std::stoi(name), entry->path());
        entry.increment(failed);
    }
}

// /proc/PID/stat is "pid (name) state ppid ..."; the name may hold blanks and parentheses, so that the last one counts.
struct stat_line {
    char state = '\0';
    pid_t parent = 0;
};

stat_line stat_of(pid_t process)
{
    const std::string text = read_text(folder_of(process) / "stat");
    stat_line result;
    if (const auto end = text.rfind(')'); end != std::string::npos)
        std::istringstream{text.substr(end + 1)} >> result.state >> result.parent;
    return result;
}

std::string first_line(std::string text) { return text.substr(0, text.find('\n')); }

} // namespace

std::string read_text(const std::string& file)
{
    std::string result;
    const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return result;
    std::array<char, 4096> block;
    // Not by a stream: a process that ends between open and read is an exception there.
    for (ssize_t got; (got = ::read(descriptor, block.data(), block.size())) > 0;)
        result.append(block.data(), static_cast<std::size_t>(got));
    ::close(descriptor);
    return result;
}

std::vector<pid_t> children_of(pid_t parent)
{
    std::vector<pid_t> result;
    for_each_number("/proc", [&](pid_t process, const fs::path&) {
        if (stat_of(process).parent == parent)
            result.push_back(process);
    });
    std::ranges::sort(result);
    return result;
}

std::vector<pid_t> descendants(pid_t ancestor)
{
    std::multimap<pid_t, pid_t> children;
    for_each_number("/proc", [&](pid_t process, const fs::path&) { children.emplace(stat_of(process).parent, process); });
    std::vector<pid_t> result, open{ancestor};
    while (!open.empty()) {
        const auto [first, last] = children.equal_range(open.back());
        open.pop_back();
        for (auto child = first; child != last; ++child) {
            result.push_back(child->second);
            open.push_back(child->second);
        }
    }
    std::ranges::sort(result);
    return result;
}

std::map<int, std::string> open_descriptors(pid_t process)
{
    std::map<int, std::string> result;
    const std::string own_list = (process == getpid() ? "/proc/" + std::to_string(process) + "/fd" : "");
    for_each_number(folder_of(process) / "fd", [&](int number, const fs::path& link) {
        std::error_code failed;
        const fs::path target = fs::read_symlink(link, failed);
        if (!failed && target != own_list)
            result.emplace(number, target);
    });
    return result;
}

std::map<pid_t, std::string> threads_of(pid_t process)
{
    std::map<pid_t, std::string> result;
    for_each_number(folder_of(process) / "task",
                    [&](pid_t thread, const fs::path& folder) { result.emplace(thread, first_line(read_text(folder / "comm"))); });
    return result;
}

std::map<unsigned long, std::string> memory_files_mapped_by(pid_t process)
{
    std::map<unsigned long, std::string> result;
    std::istringstream maps{read_text(folder_of(process) / "maps")};
    for (std::string line; std::getline(maps, line);) {
        const auto name = line.find("/memfd:");
        if (name == std::string::npos || line.find("coproc program", name) != std::string::npos)
            continue;
        std::string range, access, offset, device;
        unsigned long inode = 0;
        std::istringstream{line} >> range >> access >> offset >> device >> inode;
        result.emplace(inode, line.substr(name));
    }
    return result;
}

char state_of(pid_t process) { return stat_of(process).state; }

bool has_ended(pid_t process)
{
    const char state = state_of(process);
    return state == '\0' || state == 'Z' || state == 'X';
}

pid_t parent_of(pid_t process) { return stat_of(process).parent; }

std::string name_of(pid_t process) { return first_line(read_text(folder_of(process) / "comm")); }

std::string command_line_of(pid_t process)
{
    std::string result = read_text(folder_of(process) / "cmdline");
    std::ranges::replace(result, '\0', ' ');
    return result;
}

std::string describe_process(pid_t process)
{
    const stat_line stat = stat_of(process);
    if (stat.state == '\0')
        return std::to_string(process) + " gone";
    return std::to_string(process) + " state " + stat.state + " parent " + std::to_string(stat.parent) + " (" + name_of(process) +
           ") " + command_line_of(process);
}

void kill_now(pid_t process)
{
    if (process > 0)
        ::kill(process, SIGKILL);
}

int descriptor_limit()
{
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    return static_cast<int>(std::min<rlim_t>(limit.rlim_cur, 1 << 20));
}

} // namespace support
