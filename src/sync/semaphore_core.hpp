// How processes agree on who has permits. No waiting here: see waiting.hpp; who holds how many: see ledger.hpp.
//
//   - Taking a permit and giving it back are a change of the ledger each, whether anybody waits or not.
//   - A release wakes one sleeper; one that takes a permit and sees another left wakes the next.
//   - Who comes at the right moment takes a permit before the one that was woken. A sleeper that was passed over `patience`
//     times says so (`hungry`): one permit is then kept for its party.
#pragma once

#include "sync/cell.hpp"
#include "sync/gate.hpp"
#include "sync/ledger.hpp"
#include "sync/party.hpp"
#include "sync/registry.hpp"

#include <coproc/detail/shared_object.hpp>

#include <cstdint>
#include <optional>

namespace coproc::detail {

/// In shared memory.
struct semaphore_state {
    object_header header;
    cell<member> hungry;
    cell<std::uint32_t> most; ///< permits that may be there, of a bounded one
    ledger permits;
    gate waiting;
};

/// A permit that was taken: where it is entered. Nowhere if too many processes hold permits: it doesn't come back by itself.
using permit_account = std::uint32_t;

/// `sleeper` is who asks; 0: somebody who hasn't waited.
[[nodiscard]] std::optional<permit_account> try_take_permit(semaphore_state& s, const registry& all, member sleeper) noexcept;
/// As that, without help from those who sleep: asks the kernel about those that hold permits.
[[nodiscard]] std::optional<permit_account> try_take_permit_now(semaphore_state& s);
void give_permit_back(semaphore_state& s, const registry& all, member owner, permit_account account) noexcept;
/// Nobody's permits. False: there would be more than there may be.
[[nodiscard]] bool add_permits(semaphore_state& s, const registry& all, std::uint32_t count) noexcept;
/// One that this process holds, whichever; false: it holds none.
[[nodiscard]] bool give_any_permit_back(semaphore_state& s, const registry& all) noexcept;

/// For waiting.hpp.
class semaphore_wait {
public:
    semaphore_wait(semaphore_state& s, const registry& all) noexcept : semaphore_{s}, all_{all} {}

    [[nodiscard]] gate& place() const noexcept { return semaphore_.waiting; }
    [[nodiscard]] static wakes how() noexcept { return wakes::one; }
    static constexpr bool leaves_more = true;
    bool try_now(member sleeper, unsigned tries) noexcept;
    void pass_on(member sleeper) noexcept;
    [[nodiscard]] permit_account result() const noexcept { return result_; }

private:
    static constexpr unsigned patience = 8;

    semaphore_state& semaphore_;
    const registry& all_;
    permit_account result_ = ledger::no_account;
};

} // namespace coproc::detail
