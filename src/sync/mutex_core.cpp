#include "sync/mutex_core.hpp"

namespace coproc::detail {
namespace {

constexpr std::uint64_t contended_bit = 1ull << 32, handed_bit = 1ull << 33;

member owner_of(std::uint64_t word) noexcept { return static_cast<member>(word); }

// Given first, then crossed off as hungry: so either the hungry one, if it is about to leave, still finds that it was given
// something, or this finds that it has left. Rung in either case: others of its party may still count on the word.
bool give_to_hungry(mutex_state& mutex, const registry& all) noexcept
{
    member sleeper = mutex.hungry.load();
    if (sleeper == 0)
        return false;
    member heir = all.process_of(sleeper);
    if (heir == 0) {
        mutex.hungry.compare_exchange_strong(sleeper, 0);
        return false;
    }
    std::uint64_t given = heir | contended_bit | handed_bit;
    mutex.word.store(given);
    take_word_back(mutex.waiting, sleeper);
    member same = sleeper;
    bool waits = mutex.hungry.compare_exchange_strong(same, 0);
    if (all.ring(sleeper) && waits)
        return true;
    if (mutex.word.compare_exchange_strong(given, 0))
        wake_one(mutex.waiting, all);
    return true;
}

} // namespace

member owner_of(const mutex_state& mutex) noexcept { return owner_of(mutex.word.load()); }

taken try_take(mutex_state& mutex, const registry& all, bool contended) noexcept
{
    std::uint64_t mine = all.self() | (contended ? contended_bit : 0), word = 0;
    if (mutex.word.compare_exchange_strong(word, mine))
        return taken::yes;
    for (;;) {
        auto owner = owner_of(word);
        bool handed = (word & handed_bit) != 0;
        if (owner == 0) {
            if (mutex.word.compare_exchange_weak(word, mine))
                return taken::yes;
        } else if (handed && owner == all.self()) {
            if (mutex.word.compare_exchange_weak(word, mine | contended_bit))
                return taken::yes;
        } else if (!all.is_there(owner)) {
            if (mutex.word.compare_exchange_weak(word, mine | contended_bit))
                return handed ? taken::yes : taken::from_dead;
        } else if (!contended || (word & contended_bit) != 0 || mutex.word.compare_exchange_weak(word, word | contended_bit)) {
            return taken::no;
        }
    }
}

bool is_mine(const mutex_state& mutex, const registry& all) noexcept
{
    auto word = mutex.word.load();
    return owner_of(word) == all.self() && (word & handed_bit) == 0;
}

bool is_taken(const mutex_state& mutex, const registry& all) noexcept
{
    auto owner = owner_of(mutex.word.load());
    return owner != 0 && all.is_there(owner);
}

void give_back(mutex_state& mutex, const registry& all) noexcept
{
    if ((mutex.word.load(std::memory_order_relaxed) & contended_bit) != 0 && give_to_hungry(mutex, all))
        return;
    if ((mutex.word.exchange(0) & contended_bit) != 0)
        wake_one(mutex.waiting, all);
}

void be_hungry(mutex_state& mutex, member sleeper) noexcept
{
    member nobody = 0;
    mutex.hungry.compare_exchange_strong(nobody, sleeper);
}

void pass_on(mutex_state& mutex, const registry& all, member sleeper) noexcept
{
    member mine = sleeper;
    mutex.hungry.compare_exchange_strong(mine, 0);
    auto word = mutex.word.load();
    if ((word & handed_bit) != 0 && owner_of(word) == all.self() && mutex.word.compare_exchange_strong(word, 0))
        word = 0;
    while (owner_of(word) != 0)
        // Who has it may have come by chance, and not know that others sleep.
        if ((word & contended_bit) != 0 || mutex.word.compare_exchange_weak(word, word | contended_bit))
            return;
    wake_one(mutex.waiting, all);
}

bool mutex_wait::try_now(member sleeper, unsigned tries) noexcept
{
    result_ = try_take(mutex_, all_, true);
    if (result_ == taken::no) {
        if (tries >= patience)
            be_hungry(mutex_, sleeper);
        return false;
    }
    if (tries >= patience) {
        member mine = sleeper;
        mutex_.hungry.compare_exchange_strong(mine, 0);
    }
    return true;
}

} // namespace coproc::detail
