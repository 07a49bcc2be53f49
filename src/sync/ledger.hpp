// A number that processes change, and who of them holds how much of it: right at every instant, whoever dies when.
//
//     the word       value (32)   account (8)   entry (6)    sequence (18)     what there is, and the last entry
//     an account     owner (32)   whole (1)   shares (13)  sequence (18)     what a process holds; who has more has two
//
// A change is one compare-and-swap of the word, which leaves there what is still to be entered into one account. Whoever
// changes the word next makes that entry first, whether its author lives or not; it is made once, because the account
// knows the sequence number of its last entry, and because an entry is made only while the word still shows it. So a process
// may die between any two instructions: either its change didn't happen, or it is in its account.
//
// An entry says what the account holds then, so that one for the same account may take its place without being made itself:
// who takes and gives back while nobody else does needs one atomic instruction for each. (An entry has room for 58 shares; of
// more than that it says how they change, and takes no other one's place.)
//
// What the dead held is given back by whoever finds them (`closed`). No waiting here, and no order of waiters.
#pragma once

#include "sync/cell.hpp"
#include "sync/registry.hpp"

#include <array>
#include <cstdint>

namespace coproc::detail {

/// What a change enters into an account.
enum class posting { none, one_more, one_less, whole_taken, whole_given, closed };
/// What became of a change. Moved: the account is full, or its owner's no more; another one is to be opened.
enum class posted { done, refused, moved };

/// In shared memory; all zero at first.
class ledger {
public:
    /// As many processes can hold something at the same time.
    static constexpr std::uint32_t accounts = places_of_processes;
    static constexpr std::uint32_t no_account = 255;
    static constexpr std::uint32_t most_shares = (1u << 13) - 1;

    struct account {
        member owner = 0;
        std::uint32_t shares = 0;
        bool whole = false;
        [[nodiscard]] bool empty() const noexcept { return shares == 0 && !whole; }
    };

    [[nodiscard]] std::uint32_t value() const noexcept { return value_of(word_.load()); }
    /// Before anybody else has it.
    void begin_with(std::uint32_t value) noexcept { word_.store(std::uint64_t{value} << 32); }

    /// Where this process's next share is entered; no_account when too many others hold something.
    [[nodiscard]] std::uint32_t open_account(member self) noexcept;
    /// Where this process holds something of the kind; no_account if it does nowhere.
    template <class Is>
    [[nodiscard]] std::uint32_t find_account(member self, Is is) noexcept
    {
        settle(word_.load());
        for (std::uint32_t i = 0; i < accounts; ++i)
            if (auto its = at(i); its.owner == self && is(its))
                return i;
        return no_account;
    }
    [[nodiscard]] account at(std::uint32_t index) const noexcept
    {
        auto now = word_.load();
        return content(now, index, accounts_[index].load());
    }

    /// Changes the value and enters the change into the account: all of it, or nothing. `decide(value, account)` changes the
    /// value, or says false; it may be called more than once, the last call counts. No account: the value alone.
    template <class Decide>
    posted post(std::uint32_t index, member owner, posting what, Decide decide) noexcept
    {
        for (;;) {
            auto now = word_.load();
            auto value = value_of(now);
            auto sequence = (sequence_of(now) + 1) & sequences;
            std::uint32_t entry = 0;
            account its;
            if (index != no_account) {
                auto line = accounts_[index].load();
                if (word_.load() != now)
                    continue;
                its = content(now, index, line);
                if (its.owner != owner || (what == posting::one_more && its.shares == most_shares)) {
                    settle(now);
                    return posted::moved;
                }
                if (what == posting::one_less && its.shares == 0)
                    return posted::refused;
                if (sequence == (line & sequences)) // of an entry long ago
                    sequence = (sequence + 1) & sequences;
                entry = entry_of(its, what);
            }
            if (!decide(value, its))
                return posted::refused;
            if (index != account_of(now) || !takes_the_place(entry))
                settle(now);
            auto next = make_word(value, index, entry, sequence);
            if (word_.compare_exchange_strong(now, next)) {
                if (what == posting::closed)
                    settle(next); // it can be opened again
                return posted::done;
            }
        }
    }

    /// Closes the accounts of the dead; `give_back(value, account)` changes the value. True if there was anything.
    template <class GiveBack>
    bool close_the_dead(const registry& all, GiveBack give_back) noexcept
    {
        bool any = false;
        for (std::uint32_t i = 0; i < accounts; ++i) {
            auto dead = at(i).owner;
            if (dead == 0 || all.is_there(dead))
                continue;
            any |= post(i, dead, posting::closed, [&](std::uint32_t& value, const account& its) {
                if (its.empty()) // whoever needs its place takes it
                    return false;
                give_back(value, its);
                return true;
            }) == posted::done;
        }
        return any;
    }
    /// Asks the kernel whether those who hold something live. For who doesn't sleep.
    void check_holders(registry& all) const noexcept;

private:
    friend struct open_books; // for tests
    static constexpr std::uint64_t sequences = (1u << 18) - 1;

    static std::uint32_t value_of(std::uint64_t word) noexcept { return static_cast<std::uint32_t>(word >> 32); }
    static std::uint64_t sequence_of(std::uint64_t word) noexcept { return word & sequences; }
    static std::uint32_t account_of(std::uint64_t word) noexcept { return static_cast<std::uint32_t>(word >> 24) & 255; }
    static std::uint64_t make_word(std::uint32_t value, std::uint32_t index, std::uint32_t entry, std::uint64_t sequence) noexcept
    {
        return std::uint64_t{value} << 32 | std::uint64_t{index} << 24 | std::uint64_t{entry} << 18 | sequence;
    }
    static account read(std::uint64_t line) noexcept
    {
        return {static_cast<member>(line >> 32), static_cast<std::uint32_t>(line >> 18) & most_shares, (line >> 31 & 1) != 0};
    }
    /// What there is to be entered after such a change; 0: nothing.
    static std::uint32_t entry_of(account its, posting what) noexcept;
    static bool takes_the_place(std::uint32_t entry) noexcept;
    /// What is in an account, with what the word has for it.
    static account content(std::uint64_t word, std::uint32_t index, std::uint64_t line) noexcept;
    void settle(std::uint64_t word) noexcept;

    cell<std::uint64_t> word_;
    std::array<cell<std::uint64_t>, accounts> accounts_;
};

} // namespace coproc::detail
