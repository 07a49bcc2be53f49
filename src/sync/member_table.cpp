#include "sync/member_table.hpp"

#include <algorithm>

namespace coproc::detail {

std::uint32_t member_table::used() const noexcept { return std::min(used_.load(), member_places - 1); }

member member_table::enter(kind what, std::uint64_t rest) noexcept
{
    auto take = [&](std::uint32_t index) -> member {
        auto& its = places_[index];
        auto word = its.word.load();
        auto mine = make_word(what, (generation_of(word) + 1) % generations, rest);
        if (kind_of(word) != kind::nobody || !its.word.compare_exchange_strong(word, mine))
            return 0;
        its.sleeping.store(0); // before that it may be rung for nothing
        return make_member(index, mine);
    };
    for (std::uint32_t index = 1; index <= used(); ++index)
        if (auto who = take(index))
            return who;
    while (used() < member_places - 1)
        if (auto next = used_.fetch_add(1) + 1; next < member_places)
            if (auto who = take(next))
                return who;
    return 0;
}

member member_table::enter_process(pid_t pid, std::uint32_t mark) noexcept
{
    return enter(kind::process, std::uint64_t{mark} << 22 | static_cast<std::uint32_t>(pid));
}

member member_table::enter_sleeper(member process) noexcept { return enter(kind::sleeper, process); }

void member_table::remove(member who) noexcept
{
    auto& its = at(who); // its place may be another one's by now
    if (auto word = its.word.load(); is(word, who))
        its.word.compare_exchange_strong(word, make_word(kind::nobody, generation_of(word), 0));
}

void member_table::bury(member dead) noexcept
{
    deaths.fetch_add(1);
    for (std::uint32_t index = 1; index <= used(); ++index)
        if (auto word = places_[index].word.load(); kind_of(word) == kind::sleeper && rest_of(word) == dead)
            places_[index].word.compare_exchange_strong(word, make_word(kind::nobody, generation_of(word), 0));
    remove(dead);
}

bool member_table::is_there(member who) const noexcept { return is(at(who).word.load(), who); }

member member_table::process_of(member who) const noexcept
{
    auto word = at(who).word.load();
    return is(word, who) && kind_of(word) == kind::sleeper ? static_cast<member>(rest_of(word)) : 0;
}

member_table::process_entry member_table::process_in(std::uint32_t place, std::uint64_t word) noexcept
{
    auto rest = rest_of(word);
    return {make_member(place, word), static_cast<pid_t>(rest & ((1u << 22) - 1)), static_cast<std::uint32_t>(rest >> 22)};
}

member_table::process_entry member_table::process_at(member who) const noexcept
{
    auto word = at(who).word.load();
    return is(word, who) ? process_in(who % (1u << place_bits), word) : process_entry{};
}

void member_table::for_each_process(const std::function<void(const process_entry&)>& f) const
{
    for (std::uint32_t index = 1; index <= used(); ++index)
        if (auto word = places_[index].word.load(); kind_of(word) == kind::process)
            f(process_in(index, word));
}

} // namespace coproc::detail
