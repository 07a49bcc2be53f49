// How processes agree that an event has happened. No waiting here: see waiting.hpp.
#pragma once

#include "sync/cell.hpp"
#include "sync/gate.hpp"
#include "sync/party.hpp"
#include "sync/registry.hpp"

#include <coproc/detail/shared_object.hpp>

#include <cstdint>

namespace coproc::detail {

/// In shared memory; all zero is not set.
struct event_state {
    object_header header;
    cell<std::uint64_t> word; ///< times that it was set * 2 + whether it is
    gate waiting;
};

inline void set(event_state& s, const registry& all) noexcept
{
    auto word = s.word.load();
    do
        if (word % 2 != 0)
            return;
    while (!s.word.compare_exchange_weak(word, word + 3));
    if (has_word(s.waiting))
        wake_all(s.waiting, all);
}

inline void clear(event_state& s) noexcept { s.word.fetch_and(~std::uint64_t{1}); }

/// For waiting.hpp. Whoever waits when it is set is woken for good, though it be cleared at once.
class event_wait {
public:
    explicit event_wait(event_state& s) noexcept : state_{s}, begin_{s.word.load() / 2} {}

    [[nodiscard]] gate& place() const noexcept { return state_.waiting; }
    [[nodiscard]] static wakes how() noexcept { return wakes::all; }
    [[nodiscard]] bool try_now(member, unsigned) const noexcept
    {
        auto word = state_.word.load();
        return word % 2 != 0 || word / 2 != begin_;
    }
    static void pass_on(member) noexcept {}

private:
    event_state& state_;
    std::uint64_t begin_;
};

} // namespace coproc::detail
