// What several threads of one process do with pools, streams and a worker's page.
#include "pool/board.hpp"
#include "pool/coroutines.hpp"
#include "pool/spawn.hpp"
#include "pool/tasks.hpp"
#include "pool/two_sides.hpp"

#include <coproc/process.hpp>
#include <coproc/stream.hpp>

#include <asio/post.hpp>
#include <asio/this_coro.hpp>
#include <asio/thread_pool.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace pool_test;
using coproc::detail::ring_size;

TEST_CASE("ten threads submit, map and cancel on one pool that runs on a pool of threads", "[threads][EXE-030]")
{
    asio::thread_pool threads{4};
    {
        coproc::pool pool{threads.get_executor(), {.workers = 2}};
        std::atomic<int> wrong{0};
        std::vector<std::thread> users;
        for (int user = 0; user < 10; ++user)
            users.emplace_back([&, user] {
                for (int round = 0; round < 20; ++round) {
                    auto cancelled = pool.submit(twice, round);
                    auto one = spawn(threads.get_executor(), pool.apply(twice, user));
                    auto all = spawn(threads.get_executor(), pool.map(twice, std::vector<int>(20, round)));
                    static_cast<void>(cancelled.cancel());
                    auto kept = pool.submit(add, user, round);
                    auto sum = spawn(threads.get_executor(), kept.get());
                    wrong += one.get() != 2 * user;
                    wrong += all.get() != std::vector<int>(20, 2 * round);
                    wrong += sum.get() != user + round;
                }
            });
        for (auto& user : users)
            user.join();
        CHECK(wrong == 0);
        spawn(threads.get_executor(), pool.close()).get();
    }
    threads.join();
}

TEST_CASE("tasks that are submitted while another thread closes are run or refused", "[threads][SHD-015]")
{
    asio::thread_pool threads{2};
    for (int round = 0; round < 10; ++round) {
        coproc::pool pool{threads.get_executor(), {.workers = 2}};
        std::atomic<bool> refused{false};
        std::vector<coproc::async_result<int>> results;
        std::thread user{[&] {
            for (int i = 0; !refused; ++i)
                try {
                    results.push_back(pool.submit(twice, i));
                } catch (const coproc::usage_error&) {
                    refused = true;
                }
        }};
        spawn(threads.get_executor(), pool.close()).get();
        user.join();
        for (std::size_t i = 0; i < results.size(); ++i) {
            REQUIRE(results[i].ready());
            REQUIRE(spawn(threads.get_executor(), results[i].get()).get() == 2 * static_cast<int>(i));
        }
    }
    threads.join();
}

TEST_CASE("a pool is terminated by one thread while others wait for its calls", "[threads][EXE-016]")
{
    asio::thread_pool threads{3};
    for (int round = 0; round < 10; ++round) {
        board board;
        coproc::pool pool{threads.get_executor(), {.workers = 2}};
        std::vector<std::future<int>> waits;
        for (int i = 0; i < 6; ++i)
            waits.push_back(spawn(threads.get_executor(), pool.apply(hold, board.path(), i)));
        if (round % 2 == 0)
            REQUIRE(board.reaches(0, 2));
        pool.terminate();
        for (auto& wait : waits)
            try {
                wait.get();
                FAIL("it can't have ended");
            } catch (const coproc::cancelled_error&) {
            } catch (const coproc::usage_error&) { // it came after the end
            }
    }
    threads.join();
}

TEST_CASE("several threads wait for pools of their own", "[threads]")
{
    std::vector<std::thread> users;
    std::atomic<int> wrong{0};
    for (int i = 0; i < 4; ++i)
        users.emplace_back([&, i] {
            coproc::pool pool{1};
            for (int round = 0; round < 10; ++round)
                wrong += coproc::sync_wait(pool.apply(twice, i)) != 2 * i;
            coproc::sync_wait(pool.close());
        });
    for (auto& user : users)
        user.join();
    CHECK(wrong == 0);
}

TEST_CASE("a pool that was first awaited in a thread that has ended goes on in another one", "[threads]")
{
    coproc::pool pool{1};
    std::thread{[&] { CHECK(coproc::sync_wait(pool.apply(twice, 1)) == 2); }}.join();
    CHECK(coproc::sync_wait(pool.apply(twice, 2)) == 4);
}

TEST_CASE("a pool is awaited by turns on the loops of two threads that live on", "[threads]")
{
    coproc::pool pool{1};
    CHECK(coproc::sync_wait(pool.apply(twice, 1)) == 2);
    std::thread{[&] {
        for (int i = 0; i < 10; ++i)
            CHECK(coproc::sync_wait(pool.apply(twice, i)) == 2 * i);
    }}.join();
    CHECK(coproc::sync_wait(pool.apply(twice, 3)) == 6);
}

TEST_CASE("an exception that leaves the loop under sync_wait ends the work it waited for, and no later one", "[threads]")
{
    board board;
    auto fails = [&]() -> coproc::task<int> {
        coproc::pool pool{1};
        asio::post(co_await asio::this_coro::executor, [] { throw std::domain_error{"of a handler"}; });
        auto end = pool.apply(never_end, board.path(), 0);
        co_return co_await std::move(end);
    };
    std::thread{[&] { // with a loop of its own, as the one of this thread stands for all tests
        for (int i = 0; i < 3; ++i) {
            CHECK_THROWS_AS(coproc::sync_wait(fails()), std::domain_error);
            CHECK(coproc::active_children().empty());
            coproc::pool pool{1};
            CHECK(coproc::sync_wait(pool.apply(twice, i)) == 2 * i);
        }
    }}.join();
}

TEST_CASE("a stream is used in two threads, one after the other", "[threads]")
{
    auto make = []() -> coproc::stream<std::string> {
        for (int i = 0;; ++i)
            co_yield std::to_string(co_await same_later(i));
    };
    auto stream = make();
    CHECK(coproc::sync_wait(stream.next()) == "0");
    std::thread{[&] { CHECK(coproc::sync_wait(stream.next()) == "1"); }}.join();
    CHECK(coproc::sync_wait(stream.next()) == "2");
}

TEST_CASE("of a claim and a withdrawal at the same time exactly one wins", "[threads]")
{
    constexpr std::uint64_t rounds = 100'000;
    two_sides page;
    std::atomic<std::uint64_t> round{0}, answered{0};
    std::vector<char> claimed(rounds + 1);
    std::thread worker{[&] {
        for (std::uint64_t number = 1; number <= rounds; ++number) {
            while (round.load() < number)
                std::this_thread::yield();
            claimed[number] = page.worker.claim(number, 7);
            answered.store(number);
        }
    }};
    std::uint64_t both = 0, neither = 0;
    for (std::uint64_t number = 1; number <= rounds; ++number) {
        page.pool.queue(number);
        round.store(number);
        bool withdrawn = page.pool.withdraw(number);
        while (answered.load() < number)
            std::this_thread::yield();
        both += withdrawn && claimed[number];
        neither += !withdrawn && !claimed[number];
    }
    worker.join();
    CHECK(both == 0);
    CHECK(neither == 0);
}

TEST_CASE("a writer waits for a slow reader and loses nothing", "[threads]")
{
    two_sides page;
    constexpr std::size_t total = 40 * ring_size, piece = 50'000;
    std::thread worker{[&] {
        for (std::size_t at = 0; at < total; at += piece)
            page.worker.write(counting(32, at), counting(std::min(piece, total - at) - 32, at + 32), page.bell);
    }};
    std::size_t wrong = 0;
    bytes came(3000);
    for (std::size_t at = 0; at < total;) {
        auto count = page.pool.read(came);
        auto expected = counting(count, at);
        wrong += !std::equal(expected.begin(), expected.end(), came.begin());
        at += count;
        if (count == 0)
            std::this_thread::yield();
    }
    worker.join();
    CHECK(wrong == 0);
}
