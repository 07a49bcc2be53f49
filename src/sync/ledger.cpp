#include "sync/ledger.hpp"

namespace coproc::detail {
namespace {

std::uint64_t make_line(const ledger::account& its, std::uint64_t sequence) noexcept
{
    return std::uint64_t{its.owner} << 32 | std::uint64_t{its.whole} << 31 | std::uint64_t{its.shares} << 18 | sequence;
}

void apply(ledger::account& its, posting what) noexcept
{
    switch (what) {
    case posting::none: break;
    case posting::one_more: ++its.shares; break;
    case posting::one_less: --its.shares; break;
    case posting::whole_taken: its.whole = true; break;
    case posting::whole_given: its.whole = false; break;
    case posting::closed: its = {}; break;
    }
}

} // namespace

// Makes the entry that the word shows. If the word has gone on, who changed it has made the entry before.
void ledger::settle(std::uint64_t word) noexcept
{
    auto what = static_cast<posting>(word >> 18 & 63);
    if (what == posting::none)
        return;
    auto& place = accounts_[word >> 24 & 255];
    auto line = place.load();
    if ((line & sequences) == sequence_of(word) || word_.load() != word)
        return;
    auto its = read(line);
    apply(its, what);
    place.compare_exchange_strong(line, make_line(its, sequence_of(word))); // else somebody else has made it
}

std::uint32_t ledger::open_account(member self) noexcept
{
    auto first = self % accounts;
    auto each = [&](auto f) {
        for (std::uint32_t i = 0; i < accounts; ++i)
            if (auto index = (first + i) % accounts; f(index))
                return index;
        return no_account;
    };
    auto take = [&](std::uint32_t index) {
        auto line = accounts_[index].load();
        return read(line).owner == 0 && accounts_[index].compare_exchange_strong(line, make_line({self}, line & sequences));
    };

    auto mine = each([&](std::uint32_t index) {
        auto its = at(index);
        return its.owner == self && its.shares < most_shares;
    });
    if (mine == no_account)
        mine = each(take);
    if (mine == no_account) // of somebody who holds nothing now
        mine = each([&](std::uint32_t index) {
            auto other = at(index);
            auto nothing_held = [](std::uint32_t&, const account& its) { return its.empty(); };
            return other.empty() && post(index, other.owner, posting::closed, nothing_held) == posted::done && take(index);
        });
    return mine;
}

void ledger::check_holders(registry& all) const noexcept
{
    for (std::uint32_t i = 0; i < accounts; ++i)
        if (auto its = at(i); its.owner != 0)
            all.check(its.owner);
}

} // namespace coproc::detail
