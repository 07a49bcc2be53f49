// What is to be started: everything a new process is told, as its parent holds it and as the child reads it.
//
// One packet on the control socket of the new process says it all:
//
//     'S'  version  name, parent, start method, environment, what is attached | length of the call | the call
//     with descriptors: lifeline, the program's file, standard streams that are not kept, working directory, memory file,
//     the call's own
//
// A call (function and arguments) of more than max_inline_call bytes, or one that does not fit beside a large environment,
// travels in a memory file beside the packet.
#pragma once

#include "os/descriptor.hpp"
#include "os/memory_file.hpp"

#include <coproc/detail/buffer.hpp>
#include <coproc/process_options.hpp>
#include <coproc/this_process.hpp>

#include <array>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace coproc::detail {

/// What name and environment of a process may take, encoded: 96 KiB.
inline constexpr std::size_t max_orders = 96 * 1024;
/// A packet must fit into a fresh socket's buffer (208 KiB by default, of which bookkeeping takes a part). The largest
/// orders leave room in it for what is attached and the length of the call, not for the call.
inline constexpr std::size_t max_packet = max_orders + 64;
inline constexpr std::size_t max_inline_call = 64 * 1024;

using environment_changes = std::vector<std::pair<std::string, std::optional<std::string>>>;

/// The parent's side.
struct launch {
    std::string name;
    start_method method = start_method::forkserver;
    environment_changes environment;
    bool clear_environment = false;
    os::descriptor standard[3]; ///< the child's ends; empty keeps the parent's
    os::descriptor working_directory;
    buffer call; ///< a body function and its arguments

    /// Sends the packet on `control`; `before` are changes of the environment that come before its own. Throws if it can't
    /// be made or sent.
    void send(const os::descriptor& control, const os::descriptor& lifeline, const process_info& parent, start_method inherited,
              const environment_changes& before);
};

/// The child's side.
struct order {
    std::string name;
    process_info parent;
    start_method inherited = start_method::forkserver;
    std::uint32_t depth = 0; ///< of the new process in the program's tree
    environment_changes environment;
    bool clear_environment = false;
    os::descriptor lifeline;
    os::descriptor program_file;
    os::descriptor standard[3];
    os::descriptor working_directory;
    std::vector<std::byte> small_call; ///< or
    os::mapping large_call;
    std::span<const std::byte> call; ///< one of the two
    std::vector<attachment> attachments;
};
/// Waits for the packet; throws protocol_error if what comes is no such packet.
[[nodiscard]] order receive_order(const os::descriptor& control);

/// What options ask for, opened and owned. Throws std::system_error that names the file or directory.
/// The parent's ends of pipes go to `ours`.
[[nodiscard]] launch prepare(const process_options& options, buffer call, std::array<os::descriptor, 3>& ours);

} // namespace coproc::detail
