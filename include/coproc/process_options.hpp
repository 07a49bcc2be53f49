// How a process is started: its name, environment, directory and standard streams.
#pragma once

#include <coproc/start_method.hpp>

#include <optional>
#include <span>
#include <string_view>

namespace coproc {

/// One change of the environment; without a value the variable is removed.
struct environment_variable {
    std::string_view name;
    std::optional<std::string_view> value;
};

/// Where a standard stream of a process leads.
struct standard_stream {
    enum class target { keep, null, file, append, pipe };
    target to = target::keep;
    std::string_view path; ///< of a file
};

/// The parent's own stream.
inline constexpr standard_stream keep_stream{standard_stream::target::keep, {}};
/// Nothing to read; what is written is thrown away.
inline constexpr standard_stream null_stream{standard_stream::target::null, {}};
/// A pipe whose other end the process handle has: process::read_output, read_error, write_input.
inline constexpr standard_stream pipe_stream{standard_stream::target::pipe, {}};
/// A file: read from its beginning, or emptied and written.
constexpr standard_stream file_stream(std::string_view path) { return {standard_stream::target::file, path}; }
/// A file that is written at its end.
constexpr standard_stream append_stream(std::string_view path) { return {standard_stream::target::append, path}; }

/// All of it is read while `start` is called; nothing it points to needs to live longer. (It is trivially copyable for a
/// reason: g++ 12 destroys other temporaries in a co_await expression twice.)
///
/// Name and environment may take 96 KiB together, else start throws usage_error; what has changed in the parent's own
/// environment since its fork server was started counts too.
///
/// What no option says (umask, resource limits, CPU affinity, priority) is the parent's: with the fork server, as it was
/// when that was started, which is at the first start by it; with spawn and fork, as it is now.
struct process_options {
    /// Shown by this_process::name, in errors, and by ps. Empty: "process-N".
    std::string_view name{};
    standard_stream standard_input = null_stream;
    standard_stream standard_output = keep_stream;
    standard_stream standard_error = keep_stream;
    /// Empty: the parent's. One that does not exist is a std::system_error that names it, thrown by start.
    std::string_view working_directory{};
    /// Changes of the environment, in order. In a co_await expression name the array first; it can't be written in braces.
    std::span<const environment_variable> environment{};
    /// Begin with no environment at all instead of the parent's.
    bool clear_environment = false;
    /// Empty: get_start_method().
    std::optional<start_method> method{};
};

} // namespace coproc
