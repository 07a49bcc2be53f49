#include "sync/gate.hpp"

#include <algorithm>

namespace coproc::detail {

word leave_word(gate& at, member sleeper, const registry& all) noexcept
{
    if (has_place(at, sleeper))
        return word::in_its_place;
    for (auto& place : at.waiting) {
        member there = place.load();
        if ((there == 0 || !all.is_there(there)) && place.compare_exchange_strong(there, sleeper))
            return word::in_its_place;
    }
    at.crowd.store(1);
    return word::in_the_crowd;
}

void take_word_back(gate& at, member sleeper) noexcept
{
    for (auto& place : at.waiting) {
        member there = sleeper;
        if (place.load(std::memory_order_relaxed) == sleeper && place.compare_exchange_strong(there, 0))
            return;
    }
}

bool has_place(const gate& at, member sleeper) noexcept
{
    return std::ranges::any_of(at.waiting, [&](auto& place) { return place.load() == sleeper; });
}

bool has_word(const gate& at) noexcept
{
    return at.crowd.load() != 0 || std::ranges::any_of(at.waiting, [](auto& place) { return place.load() != 0; });
}

bool wake_one(gate& at, const registry& all) noexcept
{
    auto first = at.turn.fetch_add(1, std::memory_order_relaxed);
    // Places fill again as fast as they are emptied. Whether anybody of the crowd is still there is not known.
    if (first % at.waiting.size() == at.waiting.size() - 1 && at.crowd.load() != 0 && at.crowd.exchange(0) != 0)
        all.ring_all();
    for (std::uint32_t i = 0; i < at.waiting.size(); ++i) {
        auto& place = at.waiting[(first + i) % at.waiting.size()];
        member there = place.load();
        if (there != 0 && place.compare_exchange_strong(there, 0) && all.ring(there))
            return true;
    }
    if (at.crowd.exchange(0) == 0)
        return false;
    all.ring_all();
    return true;
}

void wake_all(gate& at, const registry& all) noexcept
{
    for (auto& place : at.waiting)
        if (member there = place.load(); there != 0 && place.compare_exchange_strong(there, 0))
            all.ring(there);
    if (at.crowd.load() != 0 && at.crowd.exchange(0) != 0)
        all.ring_all();
}

void wake_process(gate& at, member process, const registry& all) noexcept
{
    for (auto& place : at.waiting)
        if (member there = place.load(); there != 0 && all.process_of(there) == process && place.compare_exchange_strong(there, 0))
            all.ring(there);
    if (at.crowd.load() != 0 && at.crowd.exchange(0) != 0)
        all.ring_all();
}

} // namespace coproc::detail
