#include "support/leak_check.hpp"

#include "support/eventually.hpp"
#include "support/proc.hpp"
#include "support/standing.hpp"

#define CATCH_CONFIG_EXTERNAL_INTERFACES // listeners
#include <catch2/catch.hpp>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

namespace support {
namespace {

// A child that was killed, or a thread that was joined, is seen in /proc for a moment more.
constexpr std::chrono::seconds patience{2};

struct belongings {
    std::map<int, std::string> descriptors;
    std::vector<pid_t> processes;
    std::map<pid_t, std::string> threads;
    std::map<unsigned long, std::string> memory_files;
};

belongings take_stock()
{
    const pid_t self = getpid();
    return {open_descriptors(self), descendants(self), threads_of(self), memory_files_mapped_by(self)};
}

belongings at_start;
int leaks = 0;

template <class Question, class... Thing>
bool is_standing(Question standing::*question, const Thing&... thing)
{
    static const std::vector<standing> all = all_standing();
    return std::ranges::any_of(all, [&](const standing& one) { return one.*question && (one.*question)(thing...); });
}

// Whether a process hangs below another that is standing: the fork server's own children, say.
bool below_standing(pid_t process)
{
    for (; process > 1 && process != getpid(); process = parent_of(process))
        if (is_standing(&standing::child, process))
            return true;
    return false;
}

template <class Key, class Visit>
void for_each_new(const std::map<Key, std::string>& now, const std::map<Key, std::string>& before, Visit visit)
{
    for (const auto& [key, text] : now)
        if (const auto old = before.find(key); old == before.end() || old->second != text)
            visit(key, text);
}

// One line for each thing that is there and should not be.
std::vector<std::string> left_behind()
{
    const belongings now = take_stock();
    std::vector<std::string> result;
    for_each_new(now.descriptors, at_start.descriptors, [&](int number, const std::string& target) {
        if (!is_standing(&standing::descriptor, number, target))
            result.push_back("descriptor " + std::to_string(number) + " -> " + target);
    });
    for (pid_t process : now.processes)
        if (!std::ranges::binary_search(at_start.processes, process) && !below_standing(process) && state_of(process) != '\0')
            result.push_back("process " + describe_process(process));
    for_each_new(now.threads, at_start.threads, [&](pid_t thread, const std::string& name) {
        if (!at_start.threads.contains(thread) && !is_standing(&standing::thread, thread, name))
            result.push_back("thread " + std::to_string(thread) + " (" + name + ")");
    });
    for_each_new(now.memory_files, at_start.memory_files, [&](unsigned long inode, const std::string& name) {
        if (!is_standing(&standing::memory_file, name))
            result.push_back("mapped memory file " + name + " inode " + std::to_string(inode));
    });
    return result;
}

struct leak_listener : Catch::TestEventListenerBase {
    using TestEventListenerBase::TestEventListenerBase;

    void testRunStarting(const Catch::TestRunInfo&) override
    {
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
        std::thread{[] {}}.join(); // the sanitizer starts a thread of its own with the first one of ours
#endif
#endif
    }

    void testCaseStarting(const Catch::TestCaseInfo&) override
    {
        make_what_stands();
        at_start = take_stock();
    }

    void testCaseEnded(const Catch::TestCaseStats& test) override
    {
        end_what_comes_again();
        if (settle())
            return;
        ++leaks;
        std::cerr << "\nLEAK in \"" << test.testInfo.name << "\": left behind after its end\n";
        for (const std::string& line : left_behind())
            std::cerr << "  " << line << '\n';
        std::cerr.flush();
    }
};
CATCH_REGISTER_LISTENER(leak_listener)

} // namespace

bool settle()
{
    return eventually([] { return left_behind().empty(); }, patience);
}

int leaks_found() { return leaks; }

} // namespace support
