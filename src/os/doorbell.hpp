// Waking another process that waits.
#pragma once

#include "os/descriptor.hpp"

#include <string_view>

namespace coproc::os {

/// Something that every process on this system can ring by its name, and its owner can wait for: a datagram socket with an
/// abstract address, which takes no place in the file system and is gone with its owner.
class doorbell {
public:
    /// Throws std::system_error.
    explicit doorbell(std::string_view name);
    /// Readable when it was rung since the last `quiet`.
    [[nodiscard]] int number() const noexcept { return socket_.get(); }
    void quiet() const noexcept;

private:
    descriptor socket_;
};

/// For ringing. Thread-safe.
class bell_ringer {
public:
    bell_ringer();
    /// False: nobody has this doorbell.
    bool ring(std::string_view name) const noexcept;

private:
    descriptor socket_;
};

} // namespace coproc::os
