// Who sleeps, what wakes it, and what is left when it goes. What processes do in between is explored in
// explore_mutex_test.cpp.
#include "sync/copy_of_this.hpp"
#include "sync/in_line.hpp"
#include "sync/parties.hpp"

#include "sync/loop_party.hpp"
#include "sync/party.hpp"

#include <asio/detached.hpp>
#include <asio/io_context.hpp>

#include <optional>
#include <utility>
#include <vector>

#include <sys/mman.h>

using namespace coproc::detail;
using namespace sync_test;

namespace {

/// Sleeps at a gate on this loop; `woken` says what came of it, and stays empty if it was cancelled.
task<> sleep_at(gate& at, wakes how, sleep_limit until, std::optional<bool>& woken)
{
    auto loop = co_await asio::this_coro::executor;
    auto s = loop_party::make_sleeper(loop);
    in_line line{loop_party::of(loop), s, at, how};
    auto sleep = loop_party::sleep(s, until);
    woken = co_await std::move(sleep);
}

} // namespace

TEST_CASE("whoever is rung between leaving word and sleeping doesn't sleep", "[sync]")
{
    gate at{};
    blocked b{at};
    CHECK(has_word(at));
    CHECK(wake_one(at, everybody()));
    CHECK(b.sleep());
}

TEST_CASE("a thread whose time is up leaves no word", "[sync]")
{
    gate at{};
    {
        blocked b{at};
        CHECK_FALSE(b.sleep(std::chrono::steady_clock::now() + 1ms));
        CHECK(has_word(at));
    }
    CHECK_FALSE(has_word(at));
    CHECK_FALSE(wake_one(at, everybody()));
}

TEST_CASE("of those that wait for one thing in one place, one is rung at a time, in the order in which they came", "[sync]")
{
    gate at{};
    blocked first{at}, second{at}, third{at};
    CHECK(wake_one(at, everybody()));
    CHECK(first.rung());
    CHECK_FALSE(second.rung());
    CHECK(has_word(at)); // of the others
    CHECK(wake_one(at, everybody()));
    CHECK(second.rung());
    CHECK_FALSE(third.rung());
}

TEST_CASE("of those that wait for something that all may have, all are rung", "[sync]")
{
    gate at{};
    blocked first{at, wakes::all}, second{at, wakes::all};
    CHECK(wake_one(at, everybody()));
    CHECK(first.rung());
    CHECK(second.rung());
    CHECK_FALSE(has_word(at));
}

TEST_CASE("a ring wakes those at its gate, and nobody who waits for something else", "[sync]")
{
    gate here{}, there{};
    blocked one{here}, another{there};
    CHECK(wake_one(there, everybody()));
    CHECK(another.rung());
    CHECK_FALSE(one.rung());
    CHECK(has_word(here));
}

TEST_CASE("who leaves the line leaves the others' word there, and the last one takes it along", "[sync]")
{
    gate at{};
    {
        blocked first{at};
        {
            blocked second{at};
        }
        CHECK(has_word(at));
        std::optional<blocked> third{std::in_place, at};
        CHECK(wake_one(at, everybody()));
        CHECK(first.rung());
        CHECK(has_word(at));
        third.reset();
        CHECK_FALSE(has_word(at));
    }
    CHECK_FALSE(has_word(at));
}

TEST_CASE("a sleeper that finds no place at the gate is rung all the same", "[sync]")
{
    gate at{};
    std::vector<member> before;
    for (std::size_t i = 0; i < gate_places; ++i) {
        before.push_back(everybody().add_sleeper());
        CHECK(leave_word(at, before.back(), everybody()) == word::in_its_place);
    }
    {
        blocked b{at};
        CHECK_FALSE(b.rung());
        wake_all(at, everybody());
        CHECK(b.sleep());
    }
    for (member one : before)
        everybody().remove(one);
}

TEST_CASE("a death wakes every sleeper, whatever it waits for", "[sync]")
{
    in_loop([]() -> task<> {
        shared_value<int> here{0};
        auto start = process::start(takes_part, here);
        process p = co_await std::move(start);
        auto arrival = reaches(here, 1);
        co_await std::move(arrival);
        gate one{}, another{};
        std::optional<bool> first, second, third;
        auto sleeper1 = co_await spawn(sleep_at(one, wakes::one, no_limit, first));
        auto sleeper2 = co_await spawn(sleep_at(one, wakes::one, no_limit, second));
        auto sleeper3 = co_await spawn(sleep_at(another, wakes::all, no_limit, third));
        CHECK_FALSE((first || second || third));
        auto end = killed(p);
        co_await std::move(end);
        for (auto* sleeper : {&sleeper1, &sleeper2, &sleeper3}) {
            auto woken = sleeper->join();
            co_await std::move(woken);
        }
        CHECK(first == true);
        CHECK(second == true);
        CHECK(third == true);
        CHECK_FALSE(has_word(one));
        CHECK_FALSE(has_word(another));
    });
}

TEST_CASE("a coroutine sleeps until it is rung, and its loop goes on meanwhile", "[sync]")
{
    in_loop([]() -> task<> {
        gate at{};
        std::optional<bool> woken;
        auto sleeper = co_await spawn(sleep_at(at, wakes::one, no_limit, woken));
        CHECK_FALSE(sleeper.done());
        CHECK(wake_one(at, everybody()));
        auto end = sleeper.join();
        co_await std::move(end);
        CHECK(woken == true);
        CHECK_FALSE(has_word(at));
    });
}

TEST_CASE("a coroutine whose time is up leaves no word", "[sync]")
{
    in_loop([]() -> task<> {
        gate at{};
        std::optional<bool> woken;
        auto sleep = sleep_at(at, wakes::one, std::chrono::steady_clock::now() + 1ms, woken);
        co_await std::move(sleep);
        CHECK(woken == false);
        CHECK_FALSE(has_word(at));
    });
}

TEST_CASE("a coroutine that is cancelled in its sleep leaves no word", "[sync]")
{
    in_loop([]() -> task<> {
        gate at{};
        std::optional<bool> woken;
        auto sleeper = co_await spawn(sleep_at(at, wakes::one, no_limit, woken));
        CHECK(has_word(at));
        sleeper.cancel();
        auto end = sleeper.was_cancelled();
        CHECK(co_await std::move(end));
        CHECK_FALSE(woken);
        CHECK_FALSE(has_word(at));
    });
}

namespace {

/// Is rung behind another one in the line, and cancels that one before it could go on.
class cancels final : public sleeper {
public:
    explicit cancels(running& other) : other_{other} {}

private:
    void wake() override { other_.cancel(); }
    running& other_;
};

} // namespace

TEST_CASE("a coroutine that is cancelled when it was rung already has been rung", "[sync]")
{
    in_loop([]() -> task<> {
        auto loop = co_await asio::this_coro::executor;
        gate at{};
        std::optional<bool> woken;
        auto first = co_await spawn(sleep_at(at, wakes::all, no_limit, woken));
        in_line line{loop_party::of(loop), std::make_shared<cancels>(first), at, wakes::all};
        CHECK(wake_one(at, everybody()));
        auto end = first.was_cancelled();
        CHECK_FALSE(co_await std::move(end));
        CHECK(woken == true);
    });
}

TEST_CASE("a loop on which nobody sleeps any more ends", "[sync]")
{
    gate at{};
    asio::io_context loop;
    std::optional<bool> one, another;
    asio::co_spawn(loop, sleep_at(at, wakes::one, no_limit, one), asio::detached);
    asio::co_spawn(loop, sleep_at(at, wakes::one, std::chrono::steady_clock::now() + 1ms, another), asio::detached);
    loop.poll();
    CHECK(wake_one(at, everybody()));
    loop.run();
    CHECK(one == true);
    CHECK(another.has_value());
}

TEST_CASE("with a loop its sleepers go, their words too", "[sync]")
{
    gate at{};
    {
        std::optional<bool> woken;
        asio::io_context loop;
        for (int i = 0; i < 2; ++i)
            asio::co_spawn(loop, sleep_at(at, wakes::one, no_limit, woken), asio::detached);
        loop.poll();
        CHECK(has_word(at));
        CHECK_FALSE(woken);
    }
    CHECK_FALSE(has_word(at));
    CHECK_FALSE(wake_one(at, everybody()));
}

TEST_CASE("what a copy of this process takes out of the line stays in it here", "[sync]")
{
    auto* memory = ::mmap(nullptr, sizeof(gate), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    auto& at = *static_cast<gate*>(memory);
    auto& mine = blocked_thread::here();
    std::optional<blocked> b{std::in_place, at};
    tests::copy_of_this copy{[&] {
        bool known = !mine.is_ours() && &blocked_thread::here() != &mine;
        b.reset();
        return known ? 0 : 1;
    }};
    CHECK(copy.end() == 0);
    CHECK(mine.is_ours());
    CHECK(wake_one(at, everybody()));
    CHECK(b->sleep());
    b.reset();
    ::munmap(memory, sizeof(gate));
}
