// A semaphore that notices when it is released too often.
#pragma once

#include <coproc/semaphore.hpp>

#include <cstdint>

namespace coproc {

/// As semaphore, but never with more permits than it began with.
class bounded_semaphore : public detail::basic_semaphore {
public:
    /// With no permits, ever: to be assigned to, or received.
    bounded_semaphore() noexcept;
    explicit bounded_semaphore(std::uint32_t permits);

    /// So many permits more; no permit need be held. Throws usage_error if there were more than at the beginning then; their
    /// number stays.
    void release(std::uint32_t count = 1) const;
};

} // namespace coproc
