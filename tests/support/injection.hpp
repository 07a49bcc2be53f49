// Decides how system calls fail, for as long as it lives.
#pragma once

#include "os/calls.hpp"

#include <functional>
#include <utility>

namespace support {

/// Asks `decide` before each system call that coproc makes in this process, and in forked copies of it. One at a time.
class injection {
public:
    using decision = std::function<coproc::os::verdict(coproc::os::call)>;

    explicit injection(decision decide)
    {
        decide_ = std::move(decide);
        before_ = coproc::os::set_injector([](coproc::os::call call) { return decide_(call); });
    }
    ~injection() { coproc::os::set_injector(before_); }
    injection(const injection&) = delete;
    injection& operator=(const injection&) = delete;

    /// The next `times` calls of this kind fail with `error`.
    static decision fails(coproc::os::call which, int error, int times = 1)
    {
        return [=](coproc::os::call call) mutable {
            return call == which && times-- > 0 ? coproc::os::verdict{error, SIZE_MAX} : coproc::os::verdict{};
        };
    }

    /// Calls of this kind move at most so many bytes each.
    static decision moves_at_most(coproc::os::call which, std::size_t bytes)
    {
        return [=](coproc::os::call call) {
            return call == which ? coproc::os::verdict{0, bytes} : coproc::os::verdict{};
        };
    }

    /// The call number `index` (from 0, whatever its kind) fails with `error`.
    static decision fails_at(int index, int error)
    {
        return [=](coproc::os::call) mutable {
            return index-- == 0 ? coproc::os::verdict{error, SIZE_MAX} : coproc::os::verdict{};
        };
    }

private:
    inline static decision decide_;
    coproc::os::injector before_;
};

} // namespace support
