// How processes are made: by the fork server, by spawn, by fork.
#pragma once

#include <string_view>

namespace coproc {

/// forkserver (the default): the program is started once more and stopped before the user's code; processes are cloned
///     from it. Fast (a third of a millisecond), independent of the size of the parent, safe with threads.
/// spawn: the program is started afresh for each process. Slower (its start-up time), shares nothing.
/// fork: the parent is copied as it is, with all its memory. Refused (usage_error) in a process with several threads.
enum class start_method { forkserver, spawn, fork };

/// "forkserver", "spawn" or "fork".
[[nodiscard]] std::string_view to_string(start_method method) noexcept;
/// The other direction; throws usage_error that names what is unknown.
[[nodiscard]] start_method parse_start_method(std::string_view name);

/// What processes and pools use that don't say otherwise. Inherited by processes started from here.
[[nodiscard]] start_method get_start_method() noexcept;

enum class force { no, yes };
/// Sets it, for the whole program, once: a second call, or one after a process was started, throws usage_error unless
/// forced.
void set_start_method(start_method method, force = force::no);

} // namespace coproc
