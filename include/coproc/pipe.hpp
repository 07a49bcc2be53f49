// Two ends that are connected to each other.
#pragma once

#include <coproc/connection.hpp>

#include <utility>

namespace coproc {

/// Two connected ends; each sends and receives. Give one of them to another process by moving it into a call:
/// `process::start(worker, std::move(child))`.
/// Cost: three descriptors for each end (two of a one-way pipe), and 8 KiB of memory once it receives.
/// Throws: std::system_error if there are no more descriptors.
[[nodiscard]] std::pair<connection, connection> pipe();

/// The same, one way: `first` only receives what `second` only sends. The other direction is a usage_error.
[[nodiscard]] std::pair<connection, connection> one_way_pipe();

} // namespace coproc
