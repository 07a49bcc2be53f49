// A queue when a process is killed at any step of put and get, or at a thousand moments: nothing is lost but the item in its
// hand, nothing comes twice, the order holds, and nobody who lives waits for the dead.
#include "channels/copies.hpp"
#include "support/killed.hpp"

#include <coproc/joinable_queue.hpp>
#include <coproc/process.hpp>
#include <coproc/queue.hpp>
#include <coproc/shared_array.hpp>
#include <coproc/shared_value.hpp>

#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace coproc;
using namespace sync_test;
using channels_test::sent;
using support::killed_at_any_moment;
using support::killed_before_each_step;

namespace {

/// False: steps can't be seen on this processor, and nothing was tested.
bool was_tested(int steps)
{
    if (steps == 0)
        WARN("steps can't be seen on this processor: not tested");
    return steps != 0;
}

template <class T>
std::vector<T> all_of(const queue<T>& q)
{
    std::vector<T> all;
    while (auto item = q.try_get())
        all.push_back(std::move(*item));
    return all;
}

template <class T>
task<> get_one(queue<T> q, std::optional<T>& item)
{
    auto turn = q.get();
    item = co_await std::move(turn);
}

task<> until_done(task<> work, bool& done)
{
    co_await std::move(work);
    done = true;
}

/// A thousand bytes that tell items apart.
std::string large(int number) { return std::to_string(number) + std::string(1000, static_cast<char>('a' + number % 26)); }

std::vector<std::string> large_items(int first, int end)
{
    std::vector<std::string> all;
    for (int i = first; i < end; ++i)
        all.push_back(large(i));
    return all;
}

/// An item with a descriptor of its own, whose memory says which one it is.
using with_array = std::pair<int, shared_array<int>>;
with_array array_of(int number) { return {number, shared_array<int>(1, number)}; }
bool is_right(const with_array& item) { return item.second.size() == 1 && item.second[0] == item.first; }

} // namespace

TEST_CASE("a process that dies at any step of a put has put the item or not, and who sleeps gets what was put", "[QUE-004]")
{
    queue<int> q;
    const sent handle{q};
    queue<int> its;
    loop_beside here;
    std::optional<int> got;
    int put = 0, not_put = 0;
    const int steps = killed_before_each_step({
        .prepare = [&] { got.reset(); },
        .first =
            [&] {
                its = handle.take();
                its.try_put(0); // its memory is mapped from now on
                static_cast<void>(its.try_get());
            },
        .beside = [&] { here.begin(get_one(q, got)); },
        .body = [&] { sync_wait(its.put(1)); },
        .check =
            [&](int n) {
                INFO("killed before step " << n);
                sync_wait(q.put(2));
                here.end();
                REQUIRE(got);
                const auto rest = all_of(q);
                if (*got == 1)
                    REQUIRE(rest == std::vector{2});
                else
                    REQUIRE((*got == 2 && rest.empty()));
                ++(*got == 1 ? put : not_put);
            },
    });
    if (was_tested(steps))
        CHECK((put > 0 && not_put > 0));
}

TEST_CASE("a process that dies after a put of which it couldn't tell anybody has told those that sleep by its death", "[QUE-004]")
{
    queue<int> q;
    const sent handle{q};
    queue<int> its;
    loop_beside here;
    std::optional<int> got;
    int woken = 0;
    const int steps = killed_before_each_step({
        .prepare = [&] { got.reset(); },
        .first =
            [&] {
                its = handle.take();
                its.try_put(0);
                static_cast<void>(its.try_get());
            },
        .beside = [&] { here.begin(get_one(q, got)); },
        .body = [&] { its.try_put(1); },
        .check =
            [&](int n) {
                INFO("killed before step " << n);
                if (q.empty())
                    q.try_put(1);
                else
                    ++woken;
                here.end(); // nothing else is put
                REQUIRE(got == 1);
                REQUIRE(q.empty());
            },
    });
    if (was_tested(steps))
        CHECK(woken > 0);
}

TEST_CASE("a process that dies at any step of a get takes one item with it or none, and who waits for room gets it")
{
    std::unique_ptr<queue<int>> q;
    std::unique_ptr<sent<queue<int>>> handle;
    queue<int> its;
    loop_beside here;
    bool done = false;
    int taken = 0, not_taken = 0;
    const int steps = killed_before_each_step({
        .prepare =
            [&] {
                q = std::make_unique<queue<int>>(1);
                handle = std::make_unique<sent<queue<int>>>(*q);
                done = false;
            },
        .first =
            [&] {
                its = handle->take();
                its.try_put(0);
                static_cast<void>(its.try_get());
                its.try_put(1);
            },
        .beside = [&] { here.begin(until_done(q->put(2), done)); },
        .body = [&] { static_cast<void>(sync_wait(its.get())); },
        .check =
            [&](int n) {
                INFO("killed before step " << n);
                ++(q->full() ? not_taken : taken);
                if (q->full())
                    REQUIRE(q->try_get() == 1);
                here.end();
                REQUIRE(done);
                REQUIRE(all_of(*q) == std::vector{2});
            },
    });
    if (was_tested(steps))
        CHECK((taken > 0 && not_taken > 0));
}

TEST_CASE("a process that dies at any step of puts that make a queue grow leaves the items before, in their order")
{
    constexpr int before = 63, more = 1; // the first ring has no room for it
    const auto items = large_items(0, before + more);
    std::unique_ptr<queue<std::string>> q;
    std::unique_ptr<sent<queue<std::string>>> handle;
    queue<std::string> its;
    shared_value<int> done{0};
    const int steps = killed_before_each_step({
        .prepare =
            [&] {
                q = std::make_unique<queue<std::string>>();
                handle = std::make_unique<sent<queue<std::string>>>(*q);
                done.store(0);
            },
        .first =
            [&] {
                its = handle->take();
                for (int i = 0; i < before; ++i)
                    its.try_put(large(i));
            },
        .body =
            [&] {
                for (int i = 0; i < more; ++i) {
                    its.try_put(items[static_cast<std::size_t>(before + i)]);
                    done.fetch_add(1);
                }
            },
        .check =
            [&](int n) {
                INFO("killed before step " << n);
                const int there = before + done.load() + (q->size() > static_cast<std::size_t>(before + done.load()) ? 1 : 0);
                sync_wait(q->put("end"));
                auto expected = large_items(0, there);
                expected.push_back("end");
                REQUIRE(all_of(*q) == expected);
                REQUIRE(q->empty());
            },
    });
    static_cast<void>(was_tested(steps));
}

TEST_CASE("a process that dies at any step of gets from a queue that has grown leaves the rest, in its order")
{
    constexpr int all = 66, before = 62, more = 2; // the first of these is the last one in the first ring
    std::unique_ptr<queue<std::string>> q;
    std::unique_ptr<sent<queue<std::string>>> handle;
    queue<std::string> its;
    shared_value<int> done{0};
    const int steps = killed_before_each_step({
        .prepare =
            [&] {
                q = std::make_unique<queue<std::string>>();
                handle = std::make_unique<sent<queue<std::string>>>(*q);
                for (int i = 0; i < all; ++i)
                    q->try_put(large(i));
                done.store(0);
            },
        .first =
            [&] {
                its = handle->take();
                for (int i = 0; i < before; ++i)
                    static_cast<void>(its.try_get());
            },
        .body =
            [&] {
                for (int i = 0; i < more; ++i) {
                    static_cast<void>(its.try_get());
                    done.fetch_add(1);
                }
            },
        .check =
            [&](int n) {
                INFO("killed before step " << n);
                const auto rest = all_of(*q);
                const int gone = all - static_cast<int>(rest.size()), known = before + done.load();
                REQUIRE((gone == known || gone == known + 1));
                REQUIRE(rest == large_items(gone, all));
                q->try_put("end");
                REQUIRE(q->try_get() == "end");
            },
    });
    static_cast<void>(was_tested(steps));
}

TEST_CASE("a process that dies at any step of putting an item with a descriptor spoils none that comes later")
{
    queue<with_array> q;
    const sent handle{q};
    queue<with_array> its;
    with_array own; // a copy can't send what it inherited
    const auto third = array_of(3);
    int put = 0, not_put = 0;
    const int steps = killed_before_each_step({
        .first =
            [&] {
                its = handle.take();
                its.try_put(array_of(1));
                own = array_of(2);
            },
        .body = [&] { its.try_put(own); },
        .check =
            [&](int n) {
                INFO("killed before step " << n);
                q.try_put(third);
                const auto all = all_of(q);
                REQUIRE((all.size() == 2 || all.size() == 3));
                ++(all.size() == 3 ? put : not_put);
                REQUIRE((all.front().first == 1 && all.back().first == 3 && all[1].first == (all.size() == 3 ? 2 : 3)));
                for (auto& item : all)
                    REQUIRE(is_right(item));
            },
    });
    if (was_tested(steps))
        CHECK((put > 0 && not_put > 0));
}

TEST_CASE("a process that dies at any step of getting an item with a descriptor takes no other one's with it")
{
    std::unique_ptr<queue<with_array>> q;
    std::unique_ptr<sent<queue<with_array>>> handle;
    queue<with_array> its;
    const auto first = array_of(1), second = array_of(2), third = array_of(3);
    int taken = 0, not_taken = 0, kept = 0;
    const int steps = killed_before_each_step({
        .prepare =
            [&] {
                q = std::make_unique<queue<with_array>>();
                handle = std::make_unique<sent<queue<with_array>>>(*q);
                q->try_put(first);
                q->try_put(second);
                q->try_put(third);
            },
        .first =
            [&] {
                its = handle->take();
                static_cast<void>(its.try_get());
            },
        .body = [&] { static_cast<void>(its.try_get()); },
        .check =
            [&](int n) {
                INFO("killed before step " << n);
                ++(q->size() == 1 ? taken : not_taken);
                std::vector<int> all;
                while (auto item = q->try_get()) {
                    REQUIRE(is_right(*item));
                    all.push_back(item->first);
                }
                CAPTURE(all);
                REQUIRE((all == std::vector{3} || all == std::vector{2, 3}));
                kept += all.size() == 2 ? 1 : 0;
            },
    });
    if (was_tested(steps))
        CHECK((taken > 0 && not_taken > 0 && kept > 0));
}

TEST_CASE("a process that dies at any step of getting an item and marking it as done doesn't hold up the join", "[QUE-005]")
{
    std::unique_ptr<joinable_queue<int>> q;
    std::unique_ptr<sent<joinable_queue<int>>> handle;
    joinable_queue<int> its;
    loop_beside here;
    bool joined = false;
    const int steps = killed_before_each_step({
        .prepare =
            [&] {
                q = std::make_unique<joinable_queue<int>>();
                handle = std::make_unique<sent<joinable_queue<int>>>(*q);
                joined = false;
            },
        .first =
            [&] {
                its = handle->take();
                its.try_put(0);
                static_cast<void>(its.try_get());
                its.task_done();
                its.try_put(1);
                its.try_put(2);
            },
        .beside = [&] { here.begin(until_done(q->join(), joined)); },
        .body =
            [&] {
                static_cast<void>(its.try_get());
                its.task_done();
            },
        .check =
            [&](int n) {
                INFO("killed before step " << n);
                REQUIRE_FALSE(joined);
                for (auto rest = q->size(); rest > 0; --rest) {
                    static_cast<void>(q->try_get());
                    q->task_done();
                }
                here.end();
                REQUIRE(joined);
            },
    });
    static_cast<void>(was_tested(steps));
}

TEST_CASE("a producer that is killed at any moment loses no item but the one in its hand, and holds up nobody", "[QUE-004]")
{
    queue<int> q{8};
    const sent handle{q};
    queue<int> its;
    shared_value<int> put{0};
    int next = 0;
    const auto take = [&] {
        while (auto item = q.try_get())
            REQUIRE(*item == next++);
    };
    killed_at_any_moment({
        .prepare =
            [&] {
                next = 0;
                put.store(0);
            },
        .first = [&] { its = handle.take(); },
        .beside = take,
        .body =
            [&] {
                sync_wait(its.put(put.load()));
                put.fetch_add(1);
            },
        .check =
            [&](int) {
                take();
                REQUIRE((next == put.load() || next == put.load() + 1));
            },
    });
    sync_wait(q.put(-1));
    CHECK(sync_wait(q.get()) == -1);
}

TEST_CASE("a consumer that is killed at any moment costs at most the item in its hand, and holds up nobody")
{
    queue<int> q{8};
    const sent handle{q};
    queue<int> its;
    shared_value<int> last{-1}, wrong{0};
    int next = 0;
    const auto put = [&] {
        while (q.try_put(next))
            ++next;
    };
    killed_at_any_moment({
        .prepare =
            [&] {
                next = 0;
                last.store(-1);
            },
        .first = [&] { its = handle.take(); },
        .beside = put,
        .body =
            [&] {
                const int item = sync_wait(its.get()).value();
                wrong.fetch_add(item == last.load() + 1 ? 0 : 1);
                last.store(item);
            },
        .check =
            [&](int) {
                REQUIRE(wrong.load() == 0);
                const int got = last.load();
                const auto rest = all_of(q);
                const int first = next - static_cast<int>(rest.size());
                REQUIRE((first == got + 1 || first == got + 2));
                for (int i = 0; i < static_cast<int>(rest.size()); ++i)
                    REQUIRE(rest[static_cast<std::size_t>(i)] == first + i);
            },
    });
}

TEST_CASE("items with descriptors keep theirs though the processes that put and get them are killed at any moment")
{
    queue<with_array> q{4};
    const sent handle{q};
    queue<with_array> its;
    with_array own;
    const auto other = array_of(6);
    shared_value<int> wrong{0};
    int turn = 0;
    const auto look = [&](const std::optional<with_array>& got) {
        if (got && !is_right(*got))
            wrong.fetch_add(1);
    };
    const auto drain = [&] {
        while (!q.empty())
            try {
                look(q.try_get());
            } catch (const error&) { // of an item that was in somebody's hand
            }
    };
    killed_at_any_moment({
        .first =
            [&] {
                its = handle.take();
                own = array_of(5); // a copy can't send what it inherited
            },
        .beside =
            [&] {
                q.try_put(other);
                try {
                    look(q.try_get());
                } catch (const error&) {
                }
            },
        .body =
            [&] {
                its.try_put(own);
                if (++turn % 2 == 0)
                    try {
                        look(its.try_get());
                    } catch (const error&) {
                    }
            },
        .check =
            [&](int) {
                drain();
                REQUIRE(wrong.load() == 0);
                REQUIRE(q.try_put(other));
                const auto back = q.try_get();
                REQUIRE((back && back->first == 6 && is_right(*back)));
            },
    });
}

namespace {

task<> get_for_ever(queue<int> q, queue<int> seen)
{
    while (auto item = co_await q.get())
        co_await seen.put(*item);
}

task<> take_and_die(joinable_queue<int> q)
{
    static_cast<void>(co_await q.get());
    static_cast<void>(co_await q.get());
    ::raise(SIGKILL);
}

} // namespace

TEST_CASE("someone who waits for an item gets it although others that waited were killed")
{
    in_loop([]() -> task<> {
        queue<int> q, seen;
        std::vector<process> waiting;
        for (int i = 0; i < 8; ++i)
            waiting.push_back(co_await process::start(get_for_ever, q, seen));
        co_await q.put(1); // they are there
        static_cast<void>(co_await seen.get());
        for (int i = 0; i < 7; ++i) {
            waiting.back().kill();
            static_cast<void>(co_await waiting.back().join());
            waiting.pop_back();
            co_await q.put(i);
            CHECK((co_await seen.get()) == i);
        }
        q.close();
        CHECK((co_await waiting.front().join()).ok());
    });
}

TEST_CASE("items in the hand of a consumer that is killed don't hold up the join")
{
    in_loop([]() -> task<> {
        joinable_queue<int> q;
        for (int i = 0; i < 3; ++i)
            co_await q.put(i);
        auto consumer = co_await process::start(take_and_die, q);
        static_cast<void>(co_await consumer.join());
        CHECK((co_await q.get()) == 2);
        q.task_done();
        co_await q.join();
    });
}
