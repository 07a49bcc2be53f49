// How processes count down to zero. No waiting here: see waiting.hpp.
#pragma once

#include "sync/cell.hpp"
#include "sync/gate.hpp"
#include "sync/party.hpp"
#include "sync/registry.hpp"

#include <coproc/detail/shared_object.hpp>

#include <cstdint>

namespace coproc::detail {

/// In shared memory.
struct latch_state {
    object_header header;
    cell<std::uint32_t> count;
    gate waiting;
};

/// False: it would be below zero.
[[nodiscard]] inline bool count_down(latch_state& s, const registry& all, std::uint32_t by) noexcept
{
    auto count = s.count.load();
    do
        if (by > count)
            return false;
    while (!s.count.compare_exchange_weak(count, count - by));
    if (count == by && has_word(s.waiting))
        wake_all(s.waiting, all);
    return true;
}

/// For waiting.hpp.
class latch_wait {
public:
    explicit latch_wait(latch_state& s) noexcept : state_{s} {}

    [[nodiscard]] gate& place() const noexcept { return state_.waiting; }
    [[nodiscard]] static wakes how() noexcept { return wakes::all; }
    [[nodiscard]] bool try_now(member, unsigned) const noexcept { return state_.count.load() == 0; }
    static void pass_on(member) noexcept {}

private:
    latch_state& state_;
};

} // namespace coproc::detail
