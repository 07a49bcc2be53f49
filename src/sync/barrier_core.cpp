#include "sync/barrier_core.hpp"

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

namespace coproc::detail {
namespace {

constexpr std::uint32_t rounds = (1u << 24) - 1, lives = (1u << 15) - 1, mark_rounds = (1u << 16) - 1, most_waiters = mark_rounds;

struct state_of_round {
    std::uint32_t arrived = 0;
    barrier_round at;
    bool broken = false;
};

state_of_round read(std::uint64_t word) noexcept
{
    return {static_cast<std::uint32_t>(word >> 40),
            {static_cast<std::uint32_t>(word >> 16) & rounds, static_cast<std::uint32_t>(word >> 1) & lives},
            (word & 1) != 0};
}

std::uint64_t make(const state_of_round& s) noexcept
{
    return std::uint64_t{s.arrived} << 40 | std::uint64_t{s.at.round & rounds} << 16 | std::uint64_t{s.at.life & lives} << 1
           | std::uint64_t{s.broken};
}

bool same(barrier_round a, barrier_round b) noexcept { return a.round == b.round && a.life == b.life; }

struct mark {
    member owner = 0;
    std::uint32_t round = 0, waiting = 0;
};

mark read_mark(std::uint64_t word) noexcept
{
    return {static_cast<member>(word >> 32), static_cast<std::uint32_t>(word >> 16) & mark_rounds, static_cast<std::uint32_t>(word) & 0xffff};
}

std::uint64_t make(const mark& m) noexcept { return std::uint64_t{m.owner} << 32 | std::uint64_t{m.round} << 16 | m.waiting; }

// Changes the word as `f(state)` does, unless that says no.
template <class F>
bool change(barrier_state& b, F f) noexcept
{
    auto word = b.word.load();
    for (;;) {
        auto s = read(word);
        if (!f(s))
            return false;
        if (b.word.compare_exchange_weak(word, make(s)))
            return true;
    }
}

// Rounds come again; what is half a turn ahead is behind.
bool is_later(std::uint32_t a, std::uint32_t b) noexcept { return a != b && ((a - b) & mark_rounds) <= mark_rounds / 2; }

// Marks that one more waits here, in a place of this process or one that nobody needs in this round.
// It may be over already: marks of later rounds are left alone.
cell<std::uint64_t>& make_mark(barrier_state& b, member self, std::uint32_t round)
{
    round &= mark_rounds;
    auto take = [&](auto may_use) -> cell<std::uint64_t>* {
        for (auto& place : b.marks) {
            auto word = place.load();
            for (auto m = read_mark(word); may_use(m); m = read_mark(word)) {
                auto waiting = m.owner == self && m.round == round ? m.waiting : 0;
                if (waiting == most_waiters)
                    break;
                if (place.compare_exchange_weak(word, make(mark{self, round, waiting + 1})))
                    return &place;
            }
        }
        return nullptr;
    };
    auto* place = take([&](const mark& m) { return m.owner == self && !is_later(m.round, round); });
    if (!place)
        place = take([&](const mark& m) { return m.owner == 0 || is_later(round, m.round) || m.waiting == 0; });
    if (!place)
        throw std::system_error{EAGAIN, std::generic_category(), "more than 96 processes at a barrier"};
    return *place;
}

void take_mark_back(cell<std::uint64_t>& place, member self, std::uint32_t round) noexcept
{
    auto word = place.load();
    for (auto m = read_mark(word); m.owner == self && m.round == (round & mark_rounds) && m.waiting > 0; m = read_mark(word))
        if (place.compare_exchange_weak(word, make(mark{m.owner, m.round, m.waiting - 1})))
            return;
}

// Marks of the dead from earlier rounds are wiped away: rounds come again.
bool somebody_died(barrier_state& b, const registry& all, barrier_round round) noexcept
{
    bool any = false;
    for (auto& place : b.marks) {
        auto word = place.load();
        auto m = read_mark(word);
        if (m.owner == 0 || m.waiting == 0 || all.is_there(m.owner))
            continue;
        if (m.round == (round.round & mark_rounds))
            any = true;
        else if (is_later(round.round & mark_rounds, m.round))
            place.compare_exchange_strong(word, 0);
    }
    return any;
}

// Who can't come breaks it: the others would wait for it.
cell<std::uint64_t>& mark_arrival(barrier_state& b, const registry& all, barrier_round round)
{
    try {
        return make_mark(b, all.self(), round.round);
    } catch (...) {
        break_round(b, all, round);
        throw;
    }
}

} // namespace

arrival arrive(barrier_state& b, const registry& all, barrier_round& round)
{
    for (;;) {
        auto word = b.word.load();
        auto s = read(word);
        round = s.at;
        if (s.broken)
            return arrival::broken;
        if (s.arrived >= parties_of(b))
            return arrival::full;
        auto& place = mark_arrival(b, all, round);
        while (same(s.at, round) && !s.broken && s.arrived < parties_of(b)) {
            ++s.arrived;
            auto last = s.arrived == parties_of(b);
            if (b.word.compare_exchange_weak(word, make(s)))
                return last ? arrival::last : arrival::early;
            s = read(word);
        }
        take_mark_back(place, all.self(), round.round);
    }
}

bool end_round(barrier_state& b, const registry& all, barrier_round round) noexcept
{
    bool done = change(b, [&](state_of_round& s) {
        if (!same(s.at, round) || s.broken)
            return false;
        s.arrived = 0;
        ++s.at.round;
        return true;
    });
    if (done && has_word(b.waiting))
        wake_all(b.waiting, all);
    return done;
}

round_end look(barrier_state& b, const registry& all, barrier_round round) noexcept
{
    auto state = [&] {
        auto s = read(b.word.load());
        if (s.at.life != round.life)
            return round_end::broken;
        return s.at.round != round.round ? round_end::passed : s.broken ? round_end::broken : round_end::not_yet;
    };
    if (state() == round_end::not_yet && somebody_died(b, all, round))
        break_round(b, all, round);
    return state();
}

void break_round(barrier_state& b, const registry& all, barrier_round round) noexcept
{
    bool done = change(b, [&](state_of_round& s) { return same(s.at, round) && !std::exchange(s.broken, true); });
    if (done && has_word(b.waiting))
        wake_all(b.waiting, all);
}

void break_now(barrier_state& b, const registry& all) noexcept
{
    bool done = change(b, [](state_of_round& s) { return !std::exchange(s.broken, true); });
    if (done && has_word(b.waiting))
        wake_all(b.waiting, all);
}

bool is_broken(barrier_state& b, const registry& all) noexcept
{
    return look(b, all, read(b.word.load()).at) == round_end::broken;
}

std::uint32_t arrived(const barrier_state& b) noexcept { return read(b.word.load()).arrived; }

void reset(barrier_state& b, const registry& all) noexcept
{
    bool done = change(b, [](state_of_round& s) {
        if (s.arrived == 0 && !s.broken)
            return false;
        s = {0, {s.at.round + 1, s.at.life + 1}, false};
        return true;
    });
    if (done && has_word(b.waiting))
        wake_all(b.waiting, all);
}

} // namespace coproc::detail
