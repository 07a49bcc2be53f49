// How processes agree on who reads and who writes. No waiting here: see waiting.hpp; who holds what: see ledger.hpp.
//
//     the ledger's value    readers (30)   written (1)   damaged (1)
//
//   - Damaged: a writer died with it. So it stays until a writer takes it; whoever takes it meanwhile is told, too.
//   - Writers come first: while one waits (`writer`), no more readers are let in. A reader that was passed over `patience`
//     times says so (`reader`): then no writer is let in until it was.
//   - Whoever leaves it free, and whoever leaves without having had it, wakes one writer and all readers.
#pragma once

#include "sync/cell.hpp"
#include "sync/gate.hpp"
#include "sync/ledger.hpp"
#include "sync/party.hpp"
#include "sync/registry.hpp"

#include <coproc/detail/shared_object.hpp>

#include <cstdint>

namespace coproc::detail {

/// In shared memory; all zero is free.
struct shared_mutex_state {
    object_header header;
    cell<member> writer, reader; ///< sleepers that come next
    ledger holders;
    gate writers, readers;
};

enum class access { shared, exclusive };

/// What came of an attempt.
struct access_taken {
    bool yes = false, owner_died = false;
    std::uint32_t account = ledger::no_account;
};

/// `sleeper` is who asks; 0: somebody who hasn't waited. Throws std::system_error when too many processes hold it.
[[nodiscard]] access_taken try_take(shared_mutex_state& s, const registry& all, access how, member sleeper);
/// As that, without help from those who sleep: asks the kernel about those that have it.
[[nodiscard]] access_taken try_take_now(shared_mutex_state& s, access how);
/// False: it isn't entered there.
bool give_back(shared_mutex_state& s, const registry& all, access how, member owner, std::uint32_t account) noexcept;
/// What this process has, wherever it is entered; false: it has it not.
[[nodiscard]] bool give_any_back(shared_mutex_state& s, const registry& all, access how) noexcept;

/// For waiting.hpp.
class shared_mutex_wait {
public:
    shared_mutex_wait(shared_mutex_state& s, const registry& all, access how) noexcept : state_{s}, all_{all}, how_{how} {}

    [[nodiscard]] gate& place() const noexcept { return how_ == access::shared ? state_.readers : state_.writers; }
    [[nodiscard]] wakes how() const noexcept { return how_ == access::shared ? wakes::all : wakes::one; }
    bool try_now(member sleeper, unsigned tries);
    void pass_on(member sleeper) noexcept;
    [[nodiscard]] access_taken result() const noexcept { return result_; }

private:
    static constexpr unsigned patience = 8;
    [[nodiscard]] cell<member>& first() const noexcept { return how_ == access::shared ? state_.reader : state_.writer; }

    shared_mutex_state& state_;
    const registry& all_;
    access how_;
    access_taken result_;
};

} // namespace coproc::detail
