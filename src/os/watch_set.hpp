// Many descriptors seen through one: an epoll instance.
#pragma once

#include "os/descriptor.hpp"

#include <cstdint>
#include <vector>

namespace coproc::os {

/// A set of descriptors, each with a token. The set's own descriptor is readable while one of them has something new.
///
/// Edge-triggered: a descriptor is reported once for each time something arrives (or room appears), whether or not it was
/// read. So an event descriptor that only rings need never be read.
class watch_set {
public:
    watch_set();

    [[nodiscard]] int number() const noexcept { return set_.get(); }
    void add_readable(int descriptor, std::uint64_t token) const;
    void add_writable(int descriptor, std::uint64_t token) const;
    /// Before the descriptor is closed, if copies of it live on elsewhere; harmless if it is not there.
    void remove(int descriptor) const noexcept;
    /// The tokens of what is new, appended to `tokens`; never waits.
    void collect(std::vector<std::uint64_t>& tokens) const;

private:
    void add(int descriptor, std::uint32_t events, std::uint64_t token) const;

    descriptor set_;
};

} // namespace coproc::os
