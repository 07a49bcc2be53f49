// Every interleaving of a few processes that write into one ledger, which has accounts for two of them.
#define EXPLORED_PLACES_OF_PROCESSES 2
#define detail explored_ledger
#define os explored_ledger_os
#include "sync/explorer.hpp"

#include "sync/ledger.hpp"

#include "../../src/sync/ledger.cpp"

#include "sync/open_books.hpp"

#undef detail
#undef os

#include <catch2/catch.hpp>

using namespace coproc::explored_ledger;
using explorer::budget;
using explorer::findings;

namespace {

constexpr std::uint32_t total = 3;

struct ledger_exploration : exploration<ledger> {
protected:
    void begin() override { open_books::begin_with(state(), total); }
    std::uint64_t hash_of_model() const override { return 0; }
    // Whatever happened last, and whoever died in the middle of it.
    void check() override
    {
        auto sum = open_books::value(state()) + open_books::of(state(), std::nullopt).shares;
        if (sum != total)
            all.fail("there are " + std::to_string(sum) + " instead of " + std::to_string(total));
    }
};

bool one_less(std::uint32_t& value, const ledger::account&) { return value-- > 0; }
bool one_more(std::uint32_t& value, const ledger::account&) { return ++value > 0; }
bool the_same(std::uint32_t&, const ledger::account&) { return true; }

/// Takes some, if there is an account for it, and gives them back.
std::function<void()> holder(ledger_exploration& e, int rounds = 1, std::uint32_t count = 1, member of = 0)
{
    return [&e, rounds, count, of] {
        auto self = of == 0 ? registry::here().self() : of;
        auto& book = e.state();
        for (int i = 0; i < rounds; ++i) {
            std::vector<std::uint32_t> held;
            while (held.size() < count) {
                auto account = book.open_account(self);
                if (account == ledger::no_account)
                    break;
                auto done = book.post(account, self, posting::one_more, one_less);
                if (done == posted::done)
                    held.push_back(account);
                if (done == posted::refused)
                    break;
            }
            for (auto account : held)
                if (book.post(account, self, posting::one_less, one_more) != posted::done && !e.all.ghosts())
                    e.all.fail("what it has it can't give back");
        }
    };
}

/// Changes nothing, and has no account.
void passer_by(ledger_exploration& e)
{
    static_cast<void>(e.state().post(ledger::no_account, 0, posting::none, the_same));
}

/// Buries the dead and closes their accounts.
void undertaker(ledger_exploration& e)
{
    auto& book = e.state();
    book.check_holders(registry::here());
    book.close_the_dead(registry::here(), [](std::uint32_t& value, const ledger::account& its) { value += its.shares; });
}

} // namespace

TEST_CASE("what is in a ledger and in its accounts adds up at every step of two processes", "[sync][explore]")
{
    ledger_exploration e;
    e.all.bodies = {holder(e, 2), holder(e, 2)};
    CHECK_NOTHING_FOUND(e.run({.switches = 4}));
    e.all.bodies = {holder(e, 1, 3), holder(e, 1, 2)}; // more than an entry has room for
    CHECK_NOTHING_FOUND(e.run({.switches = 4}));
}

TEST_CASE("an entry that is made too late spoils nothing", "[sync][explore]")
{
    ledger_exploration e;
    const auto takes_the_place_and_makes_it = [&] {
        holder(e)();
        passer_by(e);
    };
    e.all.bodies = {takes_the_place_and_makes_it, [&] { passer_by(e); }, [&] { passer_by(e); }};
    CHECK_NOTHING_FOUND(e.run({.switches = 4}));
}

TEST_CASE("two threads of one process share its account", "[sync][explore]")
{
    ledger_exploration e;
    e.all.bodies = {holder(e, 1, 2, 1), holder(e, 2, 1, 1)};
    CHECK_NOTHING_FOUND(e.run({.switches = 4}));
}

TEST_CASE("what is in a ledger adds up when three processes change it, and one of them dies at any step", "[sync][explore]")
{
    ledger_exploration e;
    e.all.bodies = {holder(e), holder(e), [&] { passer_by(e); }};
    CHECK_NOTHING_FOUND(e.run({.switches = 4}));
    CHECK_NOTHING_FOUND(e.run({.switches = 2, .deaths = 1}));
}

TEST_CASE("what a dead process holds is back in the ledger when its account is closed, once", "[sync][explore]")
{
    ledger_exploration e;
    const auto mourner = [&] {
        undertaker(e);
        holder(e)();
    };
    e.all.bodies = {holder(e, 1, 2), mourner, [&] { undertaker(e); }};
    CHECK_NOTHING_FOUND(e.run({.switches = 2, .deaths = 1}));
    CHECK_NOTHING_FOUND(e.run({.switches = 0, .deaths = 2}));
}

TEST_CASE("four processes use a ledger that has two accounts", "[sync][explore]")
{
    ledger_exploration e;
    e.all.bodies = {holder(e), holder(e), holder(e), holder(e)};
    CHECK_NOTHING_FOUND(e.run({.switches = 2}));
    CHECK_NOTHING_FOUND(e.run({.switches = 0, .deaths = 1}));
}
