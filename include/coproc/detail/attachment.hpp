#pragma once

#include <memory>

namespace coproc::detail {

/// A file descriptor that travels beside the bytes of a message (SCM_RIGHTS), in the order of `attach`.
///
/// Ownership: `keep` owns the descriptor; it stays open while any copy of the attachment lives. The sender keeps it
/// until the message left the process; the receiver's copy owns the descriptor that the kernel made for it.
struct attachment {
    int descriptor = -1;                 ///< -1 for none
    std::shared_ptr<const void> keep;    ///< closes `descriptor` with its last copy
    bool only_once = false;              ///< who gets it owns what it stands for: the message must not be read by two
};

}  // namespace coproc::detail
