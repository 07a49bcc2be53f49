#include "sync/parties.hpp"

#include "sync/semaphore_core.hpp"

#include <coproc/bounded_semaphore.hpp>
#include <coproc/semaphore.hpp>

#include <algorithm>
#include <csignal>
#include <memory>
#include <mutex>
#include <random>
#include <vector>

using namespace coproc;
using namespace sync_test;

namespace {

/// How many permits can be had at this moment.
int permits_of(const semaphore& s)
{
    std::vector<semaphore_permit> all;
    while (auto permit = s.try_acquire())
        all.push_back(std::move(*permit));
    return static_cast<int>(all.size());
}

task<> hold(semaphore s, int count, shared_value<int> holding)
{
    std::vector<semaphore_permit> all;
    for (int i = 0; i < count; ++i)
        all.push_back(co_await s.acquire());
    holding.fetch_add(count);
    co_await wait_for_the_end();
}

task<> take_one(semaphore s, int& got)
{
    auto permit = co_await s.acquire();
    ++got;
    permit.consume();
}

task<> wait_in_vain(semaphore s, shared_value<int> asleep)
{
    int got = 0;
    auto waiter = co_await spawn(take_one(s, got));
    asleep.fetch_add(1);
    co_await wait_for_the_end();
}

task<> take_and_tell(semaphore s, shared_value<int> asleep, shared_value<int> has_it)
{
    int got = 0;
    auto waiter = co_await spawn(take_one(s, got));
    asleep.store(1);
    co_await waiter.join();
    has_it.store(got);
}

void lock_for_ever(semaphore s, shared_value<int> began)
{
    for (;; began.store(1))
        std::scoped_lock permit{s};
}

} // namespace

TEST_CASE("a semaphore of two gives two permits and no third, and each release adds one without a limit", "[SEM-001]")
{
    semaphore s{2};
    auto first = s.try_acquire(), second = s.try_acquire();
    CHECK(first);
    CHECK(second);
    CHECK_FALSE(s.try_acquire());
    CHECK(s.value() == 0);
    for (std::uint32_t n = 1; n <= 5; ++n) {
        s.release();
        CHECK(s.value() == n);
    }
    first->release();
    CHECK(s.value() == 6);
    CHECK(semaphore{}.value() == 0);
    CHECK_THROWS_AS(s.release(4294967295), usage_error);
    CHECK(s.value() == 6);
}

TEST_CASE("a permit is given back once, at its end or before, by whoever has it then")
{
    semaphore s{1};
    {
        auto permit = s.try_acquire();
        REQUIRE(permit);
        semaphore_permit other = std::move(*permit);
        permit.reset();
        CHECK(s.value() == 0);
        other.release();
        CHECK(s.value() == 1);
        CHECK_FALSE(other);
        other.release();
    }
    CHECK(s.value() == 1);
    s.try_acquire()->consume();
    CHECK(s.value() == 0);
}

TEST_CASE("without a permit a try is false at once, and one with a time after that time", "[SEM-003]")
{
    semaphore s{0};
    CHECK_FALSE(s.try_lock());
    in_loop([&]() -> task<> {
        const auto begin = std::chrono::steady_clock::now();
        auto none = co_await s.try_acquire_for(20ms);
        CHECK_FALSE(none);
        CHECK(std::chrono::steady_clock::now() - begin >= 20ms);
        auto not_even = co_await s.try_acquire_for(-1s);
        CHECK_FALSE(not_even);
        s.release();
        auto one = co_await s.try_acquire_for(0s);
        CHECK(one);
    });
    REQUIRE(s.try_lock());
    const auto begin = std::chrono::steady_clock::now();
    CHECK_FALSE(s.try_lock_for(20ms));
    CHECK(std::chrono::steady_clock::now() - begin >= 20ms);
}

TEST_CASE("a bounded semaphore that is released too often says so, and its value stays", "[SEM-002]")
{
    bounded_semaphore s{2};
    CHECK_THROWS_AS(s.release(), usage_error);
    CHECK(s.value() == 2);
    {
        auto permit = s.try_acquire();
        CHECK_THROWS_AS(s.release(2), usage_error);
        CHECK(s.value() == 1);
        s.release();
        CHECK(s.value() == 2);
    }
    CHECK(s.value() == 2);
    CHECK_THROWS_AS(bounded_semaphore{}.release(), usage_error);
}

TEST_CASE("a plain function locks a semaphore, and can't unlock what its process hasn't locked")
{
    semaphore s{1};
    {
        std::unique_lock permit{s};
        CHECK(s.value() == 0);
        CHECK_FALSE(s.try_lock());
    }
    CHECK(s.value() == 1);
    CHECK_THROWS_AS(s.unlock(), usage_error);
    CHECK(s.value() == 1);
}

TEST_CASE("a release of several wakes as many of those that wait in one loop, in the order they came")
{
    in_loop([]() -> task<> {
        semaphore s;
        int got = 0;
        std::vector<int> order;
        auto next = [&](int i) -> task<> {
            auto permit = co_await s.acquire();
            permit.consume();
            ++got;
            order.push_back(i);
        };
        std::vector<running> all;
        for (int i = 0; i < 6; ++i)
            all.push_back(co_await spawn(next(i)));
        s.release(4);
        for (std::size_t i = 0; i < 4; ++i)
            co_await all[i].join();
        co_await let_others_run();
        CHECK(got == 4);
        CHECK(std::ranges::is_sorted(order));
        CHECK(s.value() == 0);
        s.release(2);
        co_await all[4].join();
        co_await all[5].join();
        CHECK(s.value() == 0);
    });
}

TEST_CASE("a wait for a permit that is cancelled leaves no trace, even if it was being woken")
{
    in_loop([]() -> task<> {
        semaphore s;
        int got = 0;
        auto first = co_await spawn(take_one(s, got));
        auto second = co_await spawn(take_one(s, got));
        s.release();
        first.cancel();
        const bool cancelled = co_await first.was_cancelled();
        CHECK(cancelled);
        co_await second.join();
        CHECK(got == 1);
        CHECK(s.value() == 0);
        auto third = co_await spawn(take_one(s, got));
        third.cancel();
        const bool too = co_await third.was_cancelled();
        CHECK(too);
        s.release();
        CHECK(s.value() == 1);
    });
}

TEST_CASE("a wait for a permit that is cancelled while it is being woken wakes another process's")
{
    in_loop([]() -> task<> {
        semaphore s;
        shared_value<int> asleep, has_it;
        int got = 0;
        auto here = co_await spawn(take_one(s, got)); // the first to leave word is the first to be woken
        auto p = co_await process::start(take_and_tell, s, asleep, has_it);
        co_await reaches(asleep, 1);
        s.release();
        here.cancel();
        const bool cancelled = co_await here.was_cancelled();
        CHECK(cancelled);
        co_await reaches(has_it, 1);
        co_await p.join();
        CHECK(got == 0);
        CHECK(s.value() == 0);
    });
}

TEST_CASE("the permits of processes that are killed come back, each once, and wake who waits for them", "[SEM-007]")
{
    in_loop([]() -> task<> {
        semaphore s{5};
        shared_value<int> holding;
        auto two = co_await process::start(hold, s, 2, holding);
        auto three = co_await process::start(hold, s, 3, holding);
        co_await reaches(holding, 5);
        CHECK_FALSE(s.try_acquire());
        int got = 0;
        auto waiter = co_await spawn(take_one(s, got));
        co_await killed(two);
        co_await waiter.join();
        CHECK(got == 1);
        CHECK(s.value() == 1);
        co_await killed(three); // nobody waits: who tries finds out
        CHECK(permits_of(s) == 4);
        s.release();
        CHECK(permits_of(s) == 5);
    });
}

TEST_CASE("a process that is killed while it waits for a permit takes none with it")
{
    in_loop([]() -> task<> {
        semaphore s;
        shared_value<int> asleep;
        auto p = co_await process::start(wait_in_vain, s, asleep);
        co_await reaches(asleep, 1);
        int got = 0;
        auto waiter = co_await spawn(take_one(s, got));
        p.kill();
        s.release();
        co_await waiter.join();
        co_await p.join();
        CHECK(got == 1);
        CHECK(s.value() == 0);
    });
}

TEST_CASE("who waits for a permit gets one although another process takes it again and again")
{
    in_loop([]() -> task<> {
        semaphore s{1};
        shared_value<int> began;
        auto busy = co_await process::start(lock_for_ever, s, began);
        co_await reaches(began, 1);
        for (int i = 0; i < 50; ++i)
            auto permit = co_await s.acquire();
        co_await killed(busy);
    });
}

TEST_CASE("a ledger has an account for each that holds something, and takes those of who holds nothing")
{
    auto book = std::make_unique<detail::ledger>();
    book->begin_with(1000);
    const auto one_less = [](std::uint32_t& value, const auto&) { return value-- > 0; };
    const auto one_more = [](std::uint32_t& value, const auto&) { return ++value > 0; };
    // Members that were never there: generation 5.
    const detail::member first = 5u << 13 | 100;
    std::vector<std::uint32_t> accounts;
    for (detail::member i = 0; i < detail::ledger::accounts; ++i) {
        accounts.push_back(book->open_account(first + i));
        REQUIRE(accounts.back() != detail::ledger::no_account);
        REQUIRE(book->post(accounts.back(), first + i, detail::posting::one_more, one_less) == detail::posted::done);
    }
    const auto stranger = first + detail::ledger::accounts;
    CHECK(book->open_account(stranger) == detail::ledger::no_account);
    CHECK(book->post(accounts[7], first + 7, detail::posting::one_less, one_more) == detail::posted::done);
    CHECK(book->post(accounts[7], first + 7, detail::posting::one_less, one_more) == detail::posted::refused);
    CHECK(book->open_account(stranger) == accounts[7]);
    CHECK(book->post(accounts[7], first + 7, detail::posting::one_more, one_less) == detail::posted::moved);
    CHECK(book->value() == 1000 - detail::ledger::accounts + 1);

    auto& all = detail::registry::here();
    CHECK(book->close_the_dead(all, [](std::uint32_t& value, const auto& its) { value += its.shares; }));
    CHECK(book->value() == 1000);
    CHECK_FALSE(book->close_the_dead(all, [](std::uint32_t& value, const auto&) { value = 0; }));
}

TEST_CASE("who holds more shares than an account has room for has two")
{
    auto book = std::make_unique<detail::ledger>();
    book->begin_with(100000);
    const detail::member who = 5u << 13 | 100;
    const auto first = book->open_account(who);
    for (std::uint32_t i = 0; i < detail::ledger::most_shares; ++i)
        book->post(first, who, detail::posting::one_more, [](std::uint32_t& value, const auto&) { return value-- > 0; });
    CHECK(book->at(first).shares == detail::ledger::most_shares);
    CHECK(book->post(first, who, detail::posting::one_more, [](std::uint32_t&, const auto&) { return true; }) == detail::posted::moved);
    CHECK(book->open_account(who) != first);
    book->close_the_dead(detail::registry::here(), [](std::uint32_t& value, const auto& its) { value += its.shares; });
    CHECK(book->value() == 100000);
}
