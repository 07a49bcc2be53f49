#include "sync/semaphore_core.hpp"

#include <algorithm>
#include <limits>

namespace coproc::detail {
namespace {

std::uint32_t most_of(const semaphore_state& s) noexcept
{
    return s.header.kind == static_cast<std::uint32_t>(object_kind::bounded_semaphore) ? s.most.load(std::memory_order_relaxed)
                                                                                       : std::numeric_limits<std::uint32_t>::max();
}

// True if the sleeper that a permit is kept for is another one.
bool is_kept_from(const semaphore_state& s, const registry& all, member sleeper) noexcept
{
    auto hungry = s.hungry.load();
    return hungry != 0 && hungry != sleeper && all.is_there(hungry);
}

void wake_next(semaphore_state& s, const registry& all) noexcept
{
    if (auto hungry = s.hungry.load(); hungry != 0) {
        take_word_back(s.waiting, hungry);
        if (all.ring(hungry))
            return;
        s.hungry.compare_exchange_strong(hungry, 0);
    }
    if (has_word(s.waiting))
        wake_one(s.waiting, all);
}

bool take_back_from_the_dead(semaphore_state& s, const registry& all) noexcept
{
    auto most = most_of(s);
    return s.permits.close_the_dead(all, [&](std::uint32_t& count, const ledger::account& its) {
        count = std::max(count, static_cast<std::uint32_t>(std::min<std::uint64_t>(std::uint64_t{count} + its.shares, most)));
    });
}

} // namespace

std::optional<permit_account> try_take_permit(semaphore_state& s, const registry& all, member sleeper) noexcept
{
    while (s.permits.value() > 0) {
        auto account = s.permits.open_account(all.self());
        auto result = s.permits.post(account, all.self(), posting::one_more, [&](std::uint32_t& count, const ledger::account&) {
            if (count == 0 || (count == 1 && is_kept_from(s, all, sleeper)))
                return false;
            --count;
            return true;
        });
        if (result == posted::done)
            return account;
        if (result == posted::refused)
            break;
    }
    return std::nullopt;
}

std::optional<permit_account> try_take_permit_now(semaphore_state& s)
{
    auto& all = registry::here();
    auto taken = try_take_permit(s, all, 0);
    if (!taken) {
        s.permits.check_holders(all);
        if (take_back_from_the_dead(s, all)) {
            taken = try_take_permit(s, all, 0);
            if (s.permits.value() > 0)
                wake_next(s, all);
        }
    }
    return taken;
}

void give_permit_back(semaphore_state& s, const registry& all, member owner, permit_account account) noexcept
{
    auto most = most_of(s);
    s.permits.post(account, owner, posting::one_less, [&](std::uint32_t& count, const ledger::account&) {
        if (count < most) // else somebody has released what this one holds
            ++count;
        return true;
    });
    wake_next(s, all);
}

bool add_permits(semaphore_state& s, const registry& all, std::uint32_t more) noexcept
{
    auto most = most_of(s);
    auto result = s.permits.post(ledger::no_account, 0, posting::none, [&](std::uint32_t& count, const ledger::account&) {
        if (count > most || more > most - count)
            return false;
        count += more;
        return true;
    });
    if (result != posted::done)
        return false;
    wake_next(s, all);
    return true;
}

bool give_any_permit_back(semaphore_state& s, const registry& all) noexcept
{
    auto account = s.permits.find_account(all.self(), [](const ledger::account& its) { return its.shares > 0; });
    if (account == ledger::no_account && s.permits.open_account(all.self()) != ledger::no_account)
        return false;
    give_permit_back(s, all, all.self(), account);
    return true;
}

bool semaphore_wait::try_now(member sleeper, unsigned tries) noexcept
{
    if (member nobody = 0; tries >= patience && !semaphore_.hungry.compare_exchange_strong(nobody, sleeper) && !all_.is_there(nobody))
        semaphore_.hungry.compare_exchange_strong(nobody, sleeper);
    auto taken = try_take_permit(semaphore_, all_, sleeper);
    if (!taken && take_back_from_the_dead(semaphore_, all_)) {
        taken = try_take_permit(semaphore_, all_, sleeper);
        if (!taken && semaphore_.permits.value() > 0)
            wake_next(semaphore_, all_); // it is kept for one that may have looked before it was there
    }
    if (!taken)
        return false;
    result_ = *taken;
    return true;
}

// To the next one, if there is anything left.
void semaphore_wait::pass_on(member sleeper) noexcept
{
    semaphore_.hungry.compare_exchange_strong(sleeper, 0);
    if (semaphore_.permits.value() > 0)
        wake_next(semaphore_, all_);
}

} // namespace coproc::detail
