#include "sync/shared_mutex_core.hpp"

#include <cerrno>
#include <system_error>

namespace coproc::detail {
namespace {

constexpr std::uint32_t written_bit = 1u << 30, damaged_bit = 1u << 31, readers = written_bit - 1;

bool waits(const cell<member>& first, const registry& all) noexcept
{
    auto sleeper = first.load();
    return sleeper != 0 && all.is_there(sleeper);
}

bool may_take(const shared_mutex_state& s, const registry& all, access how, std::uint32_t value, member sleeper) noexcept
{
    if (how == access::shared)
        return (value & written_bit) == 0 && (value & readers) != readers
               && (!waits(s.writer, all) || waits(s.reader, all));
    return (value & (written_bit | readers)) == 0 && (!waits(s.reader, all) || s.reader.load() == sleeper);
}

void wake_next(shared_mutex_state& s, const registry& all) noexcept
{
    if (has_word(s.writers))
        wake_one(s.writers, all);
    if (has_word(s.readers))
        wake_all(s.readers, all);
}

bool take_back_from_the_dead(shared_mutex_state& s, const registry& all) noexcept
{
    return s.holders.close_the_dead(all, [](std::uint32_t& value, const ledger::account& its) {
        value -= its.shares;
        if (its.whole)
            value = (value & ~written_bit) | damaged_bit;
    });
}

} // namespace

access_taken try_take(shared_mutex_state& s, const registry& all, access how, member sleeper)
{
    for (;;) {
        if (!may_take(s, all, how, s.holders.value(), sleeper))
            return {};
        auto account = s.holders.open_account(all.self());
        if (account == ledger::no_account)
            throw std::system_error{EAGAIN, std::generic_category(), "more than 96 processes have a shared mutex"};
        bool died = false;
        auto what = how == access::shared ? posting::one_more : posting::whole_taken;
        auto result = s.holders.post(account, all.self(), what, [&](std::uint32_t& value, const ledger::account&) {
            if (!may_take(s, all, how, value, sleeper))
                return false;
            died = (value & damaged_bit) != 0;
            value = how == access::shared ? value + 1 : written_bit;
            return true;
        });
        if (result == posted::done)
            return {true, died, account};
        if (result == posted::refused)
            return {};
    }
}

access_taken try_take_now(shared_mutex_state& s, access how)
{
    auto& all = registry::here();
    auto taken = try_take(s, all, how, 0);
    if (!taken.yes) {
        s.holders.check_holders(all);
        if (take_back_from_the_dead(s, all)) {
            taken = try_take(s, all, how, 0);
            wake_next(s, all);
        }
    }
    return taken;
}

bool give_back(shared_mutex_state& s, const registry& all, access how, member owner, std::uint32_t account) noexcept
{
    bool free = false;
    auto what = how == access::shared ? posting::one_less : posting::whole_given;
    auto result = s.holders.post(account, owner, what, [&](std::uint32_t& value, const ledger::account& its) {
        if (how == access::exclusive && !its.whole)
            return false;
        value = how == access::shared ? value - 1 : value & ~written_bit;
        free = (value & readers) == 0;
        return true;
    });
    if (result != posted::done)
        return false;
    if (free)
        wake_next(s, all);
    return true;
}

bool give_any_back(shared_mutex_state& s, const registry& all, access how) noexcept
{
    auto has_it = [&](const ledger::account& its) { return how == access::shared ? its.shares > 0 : its.whole; };
    auto account = s.holders.find_account(all.self(), has_it);
    return account != ledger::no_account && give_back(s, all, how, all.self(), account);
}

bool shared_mutex_wait::try_now(member sleeper, unsigned tries)
{
    if (how_ == access::exclusive || tries >= patience)
        if (member nobody = 0; !first().compare_exchange_strong(nobody, sleeper) && !all_.is_there(nobody))
            first().compare_exchange_strong(nobody, sleeper);
    result_ = try_take(state_, all_, how_, sleeper);
    if (!result_.yes && take_back_from_the_dead(state_, all_)) {
        result_ = try_take(state_, all_, how_, sleeper);
        wake_next(state_, all_);
    }
    if (!result_.yes)
        return false;
    if (member mine = sleeper; first().compare_exchange_strong(mine, 0) && how_ == access::shared && has_word(state_.readers))
        wake_all(state_.readers, all_);
    return true;
}

void shared_mutex_wait::pass_on(member sleeper) noexcept
{
    first().compare_exchange_strong(sleeper, 0);
    wake_next(state_, all_);
}

} // namespace coproc::detail
