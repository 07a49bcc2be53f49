// What a ledger says at this instant, with the entry that is still to be made. After ledger.cpp, in an exploration.
#pragma once

namespace coproc::detail {

struct open_books {
    static std::uint32_t value(const ledger& book) { return ledger::value_of(book.word_.peek()); }
    static ledger::account account(const ledger& book, std::uint32_t index)
    {
        return ledger::content(book.word_.peek(), index, book.accounts_[index].peek());
    }
    /// All that one has, or all that everybody has.
    static ledger::account of(const ledger& book, std::optional<member> who)
    {
        ledger::account sum;
        for (std::uint32_t i = 0; i < ledger::accounts; ++i)
            if (auto its = account(book, i); !who || its.owner == *who) {
                sum.shares += its.shares;
                sum.whole = sum.whole || its.whole;
            }
        return sum;
    }
    static void begin_with(ledger& book, std::uint32_t value) { book.word_.put(std::uint64_t{value} << 32); }
};

} // namespace coproc::detail
