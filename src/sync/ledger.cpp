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

enum entry : std::uint32_t { nothing, account_closed, has_the_whole, has_one_more, has_one_less, has_shares };
static_assert(has_shares + shares_in_an_entry < 64);

} // namespace

std::uint32_t ledger::entry_of(account its, posting what) noexcept
{
    if (what == posting::none)
        return nothing;
    if (what == posting::closed)
        return account_closed;
    apply(its, what);
    if (its.whole)
        return has_the_whole;
    if (its.shares <= shares_in_an_entry)
        return has_shares + its.shares;
    return what == posting::one_more ? has_one_more : has_one_less;
}

bool ledger::takes_the_place(std::uint32_t entry) noexcept { return entry != has_one_more && entry != has_one_less; }

ledger::account ledger::content(std::uint64_t word, std::uint32_t index, std::uint64_t line) noexcept
{
    auto its = read(line);
    auto entry = static_cast<std::uint32_t>(word >> 18) & 63;
    if (entry == nothing || account_of(word) != index || (line & sequences) == sequence_of(word))
        return its;
    if (entry == account_closed)
        return {};
    if (entry == has_one_more)
        ++its.shares;
    else if (entry == has_one_less)
        --its.shares;
    else {
        its.whole = entry == has_the_whole;
        its.shares = its.whole ? 0 : entry - has_shares;
    }
    return its;
}

// Makes the entry that the word shows. If the word has gone on, who changed it has made the entry before, or has put another
// one for the same account in its place.
void ledger::settle(std::uint64_t word) noexcept
{
    if (account_of(word) >= accounts)
        return;
    auto& place = accounts_[account_of(word)];
    for (auto line = place.load(); (line & sequences) != sequence_of(word) && word_.load() == word;)
        // Else somebody else has made it, or, late, one whose place it took.
        if (place.compare_exchange_strong(line, make_line(content(word, account_of(word), line), sequence_of(word))))
            return;
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
