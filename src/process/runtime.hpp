// What a process is in the program's tree, and what it needs to start others. The one runtime of the process.
#pragma once

#include "os/descriptor.hpp"

#include <coproc/start_method.hpp>
#include <coproc/this_process.hpp>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace coproc::detail {

struct runtime {
    std::mutex mutex; ///< of everything below that changes after init
    bool begun = false; ///< main has called run or init
    process_info self{"main", 0};
    std::optional<process_info> parent;
    std::vector<std::string> arguments;   ///< main's, with which the program is started again
    os::descriptor executable;            ///< the program's file, opened once: what stands at its path later doesn't matter
    os::descriptor_pair lifeline;         ///< first: read end, inherited by children; second: held by this process alone
    std::vector<void (*)()> preloads;
    start_method method = start_method::forkserver;
    bool method_is_fixed = false;
    std::atomic<unsigned> names{0};
    std::uint32_t depth = 0; ///< how many processes stand between this one and the program's first, itself included

    /// Throws usage_error before init, and too deep in the tree.
    void check_may_start() const;
    /// The read end of the lifeline, which is made at the first call.
    const os::descriptor& lifeline_for_children();
    /// The environment a child of exec gets, with the variable that tells what it is to be.
    [[nodiscard]] std::vector<std::string> environment_for(const char* role) const;
};

/// Processes start processes that start processes ...: a recursion without end is stopped before it fills the machine. No
/// program nests by intention as deep as this.
inline constexpr std::uint32_t max_process_depth = 16;

[[nodiscard]] runtime& this_runtime();

/// The variable by which a new execution of the program knows that it is no first process; its values.
inline constexpr const char* role_variable = "COPROC_ROLE";
inline constexpr const char* role_process = "process";
inline constexpr const char* role_fork_server = "fork-server";

/// Shows `name` in ps and top (15 characters of it).
void show_name(const std::string& name);

} // namespace coproc::detail
