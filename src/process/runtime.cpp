#include "process/runtime.hpp"

#include <coproc/error.hpp>
#include <coproc/run.hpp>

#include <cstring>
#include <sys/prctl.h>
#include <unistd.h>

namespace coproc {
namespace detail {

runtime& this_runtime()
{
    static runtime& instance = *new runtime; // never destroyed: processes may be started and ended until the very end
    return instance;
}

void runtime::check_may_start() const
{
    if (depth >= max_process_depth)
        throw usage_error{"processes are nested more than " + std::to_string(max_process_depth) + " deep: does each one start another?"};
    if (!begun)
        throw usage_error{"a process can't be started before coproc::run or coproc::init has been called in main"};
}

const os::descriptor& runtime::lifeline_for_children()
{
    if (!lifeline.first)
        lifeline = os::make_pipe();
    return lifeline.first;
}

std::vector<std::string> runtime::environment_for(const char* role) const
{
    std::string name = std::string{role_variable} + "=";
    std::vector<std::string> result{name + role};
    for (char** variable = environ; variable && *variable; ++variable)
        if (std::strncmp(*variable, name.c_str(), name.size()) != 0)
            result.emplace_back(*variable);
    return result;
}

void show_name(const std::string& name) { ::prctl(PR_SET_NAME, name.c_str()); }

} // namespace detail

namespace this_process {

int pid() noexcept { return ::getpid(); }
const std::string& name() noexcept { return detail::this_runtime().self.name; }
const std::optional<process_info>& parent() noexcept { return detail::this_runtime().parent; }

} // namespace this_process

void preload(void (*f)()) { detail::this_runtime().preloads.push_back(f); }

} // namespace coproc
