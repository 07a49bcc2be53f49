// Descriptors beside the bytes of a message on a Unix socket (SCM_RIGHTS).
#pragma once

#include "os/descriptor.hpp"

#include <array>
#include <cstddef>
#include <span>
#include <sys/socket.h>
#include <vector>

namespace coproc::os {

/// The kernel passes at most this many descriptors at a time (SCM_MAX_FD).
inline constexpr std::size_t max_descriptors = 253;

/// Room for as many.
struct alignas(cmsghdr) ancillary {
    std::array<char, CMSG_SPACE(max_descriptors * sizeof(int))> bytes;
};

/// Lets `message` carry copies of `descriptors`, at most max_descriptors; `room` must live until it is sent.
void attach(msghdr& message, ancillary& room, std::span<const int> descriptors);
/// The descriptors that came with `message`. None of them is 0, 1 or 2.
[[nodiscard]] std::vector<descriptor> take_descriptors(msghdr& message);

} // namespace coproc::os
