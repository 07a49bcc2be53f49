// The table of those who take part, in the program's file. See registry.hpp, which says who they are.
//
//     a place    what else (43)                            generation (19)   kind (2)
//                of a process: pid (22), start mark (21)
//                of a sleeper: its process (32)
//
// One word says all that others have to know of a member, so a place is taken by one compare-and-swap, and there is nobody who
// could die half entered. A place that is free again keeps its generation, and the next one there has the next.
#pragma once

#include "sync/cell.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <sys/types.h>

namespace coproc::detail {

/// A process or a sleeper: its place in the table and a number that tells it from those that had the place before; 0 is
/// nobody.
using member = std::uint32_t;

/// Of a start time (see registry.hpp), so many bits that there is room for it; 0: of no process.
[[nodiscard]] constexpr std::uint32_t start_mark(std::uint64_t started) noexcept
{
    return started == 0 ? 0 : static_cast<std::uint32_t>(1 + started % ((1u << 21) - 1));
}

/// In shared memory; all zero at first.
class member_table {
public:
    /// 0: there is no place.
    [[nodiscard]] member enter_process(pid_t pid, std::uint32_t start_mark) noexcept;
    [[nodiscard]] member enter_sleeper(member process) noexcept;
    /// Its place is free, unless it was already.
    void remove(member who) noexcept;
    /// With its sleepers.
    void bury(member process) noexcept;

    void set_sleeping(member sleeper, bool on) noexcept { at(sleeper).sleeping.store(on); }
    [[nodiscard]] bool is_there(member who) const noexcept;
    /// Of a sleeper; 0: it isn't there.
    [[nodiscard]] member process_of(member sleeper) const noexcept;

    struct process_entry {
        member who;
        pid_t pid;
        std::uint32_t start_mark;
    };
    /// Who is 0 if it isn't there.
    [[nodiscard]] process_entry process_at(member who) const noexcept;
    void for_each_process(const std::function<void(const process_entry&)>& f) const;
    template <class F>
    void for_each_that_sleeps(F f) const
    {
        for (std::uint32_t place = 1; place <= used(); ++place)
            if (auto word = places_[place].word.load(); kind_of(word) == kind::sleeper && places_[place].sleeping.load() != 0)
                f(make_member(place, word));
    }

    /// Changes when a process has entered, which says so.
    cell<std::uint32_t> version;
    /// Changes when one is buried, before it is gone from the table.
    cell<std::uint32_t> deaths;

private:
    friend struct open_table; // for tests
    enum class kind : std::uint32_t { nobody, process = 2, sleeper = 3 };
    struct entry {
        cell<std::uint64_t> word;
        cell<std::uint32_t> sleeping, unused;
    };
    static constexpr std::uint32_t place_bits = 13, generations = 1u << 19;
    static_assert(member_places <= 1u << place_bits);

    static kind kind_of(std::uint64_t word) noexcept { return static_cast<kind>(word & 3); }
    static std::uint32_t generation_of(std::uint64_t word) noexcept { return static_cast<std::uint32_t>(word >> 2) % generations; }
    static std::uint64_t rest_of(std::uint64_t word) noexcept { return word >> 21; }
    static std::uint64_t make_word(kind what, std::uint32_t generation, std::uint64_t rest) noexcept
    {
        return rest << 21 | std::uint64_t{generation} << 2 | static_cast<std::uint64_t>(what);
    }
    static member make_member(std::uint32_t place, std::uint64_t word) noexcept { return generation_of(word) << place_bits | place; }
    static bool is(std::uint64_t word, member who) noexcept
    {
        return kind_of(word) != kind::nobody && generation_of(word) == who >> place_bits;
    }
    static process_entry process_in(std::uint32_t place, std::uint64_t word) noexcept;

    [[nodiscard]] entry& at(member who) noexcept { return places_[who % (1u << place_bits)]; }
    [[nodiscard]] const entry& at(member who) const noexcept { return places_[who % (1u << place_bits)]; }
    [[nodiscard]] std::uint32_t used() const noexcept;
    member enter(kind what, std::uint64_t rest) noexcept;

    cell<std::uint32_t> used_;                ///< places that were ever taken
    std::array<entry, member_places> places_; ///< the first is not used, so that no member is 0
};

} // namespace coproc::detail
