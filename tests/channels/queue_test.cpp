// Queues: order, capacity, closing, many at both ends, and what a death costs.
#include "pool/tasks.hpp"

#include <coproc/event.hpp>
#include <coproc/joinable_queue.hpp>
#include <coproc/mutex.hpp>
#include <coproc/pool.hpp>
#include <coproc/process.hpp>
#include <coproc/queue.hpp>
#include <coproc/shared_value.hpp>
#include <coproc/wait_any.hpp>

#include "channels/queue_core.hpp"
#include "sync/mutex_core.hpp"

#include <asio/experimental/awaitable_operators.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <array>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace coproc;
using namespace pool_test;
using namespace std::chrono_literals;

namespace {

using tagged = std::pair<int, int>; // producer, number

task<> produce(queue<tagged> q, int who, int count)
{
    for (int i = 0; i < count; ++i)
        co_await q.put({who, i});
}

task<> consume(queue<tagged> from, queue<tagged> to)
{
    while (auto item = co_await from.get())
        co_await to.put(*item);
}

task<> put_numbers(queue<int> q, int count)
{
    for (int i = 0; i < count; ++i)
        co_await q.put(i);
}

task<> echo(queue<std::string> in, queue<std::string> out)
{
    while (auto item = co_await in.get())
        co_await out.put(std::move(*item));
}

std::size_t memory_of_queues() // bytes that the files of this process's queues take
{
    std::size_t total = 0;
    for (auto& entry : std::filesystem::directory_iterator{"/proc/self/fd"}) {
        std::error_code gone; // the descriptor of the listing itself
        struct stat facts {};
        if (std::filesystem::read_symlink(entry, gone).string().find("coproc queue") != std::string::npos &&
            ::stat(entry.path().c_str(), &facts) == 0)
            total += static_cast<std::size_t>(facts.st_blocks) * 512;
    }
    return total;
}

// Is found with the mutex of one side, and goes no further.
void stop_with_mutex(queue<int> q, bool of_getters, event there)
{
    auto core = q.handle().core();
    auto& mutex = of_getters ? core->control().get.mutex : core->control().put.mutex;
    if (detail::try_take(mutex, detail::registry::here(), false) == detail::taken::no)
        std::abort();
    there.set();
    ::raise(SIGSTOP);
}

} // namespace

TEST_CASE("items come out in the order in which they were put, and size, empty and full follow", "[QUE-003]")
{
    in_loop([]() -> task<> {
        queue<int> q{3};
        CHECK(q.empty());
        CHECK(q.capacity() == 3);
        for (int i = 0; i < 3; ++i)
            co_await q.put(i);
        CHECK(q.size() == 3);
        CHECK(q.full());
        for (int i = 0; i < 3; ++i)
            CHECK((co_await q.get()) == i);
        CHECK(q.empty());
        CHECK_FALSE(q.full());
    });
}

TEST_CASE("a full queue refuses an item at once, or after the time that is given", "[QUE-001]")
{
    in_loop([]() -> task<> {
        queue<int> q{1};
        CHECK(q.try_put(1));
        CHECK_FALSE(q.try_put(2));
        const auto begin = std::chrono::steady_clock::now();
        CHECK_FALSE(co_await q.put_for(2, 20ms));
        CHECK(std::chrono::steady_clock::now() - begin >= 20ms);
        CHECK(q.size() == 1);
        CHECK(q.try_get() == 1);
        CHECK(co_await q.put_for(2, 20ms));
    });
}

TEST_CASE("an empty queue gives nothing at once, or after the time that is given")
{
    in_loop([]() -> task<> {
        queue<int> q;
        CHECK_FALSE(q.try_get());
        CHECK_FALSE(co_await q.get_for(20ms));
        CHECK_FALSE(co_await q.get_for(-1ms));
        co_await q.put(5);
        CHECK((co_await q.get_for(0ms)) == 5);
    });
}

TEST_CASE("who is stopped in the middle of a get holds up those who get for as long as they want to wait, and nobody who puts")
{
    in_loop([]() -> task<> {
        queue<int> q;
        event there;
        auto stopped = co_await process::start(stop_with_mutex, q, true, there);
        co_await there.wait();
        co_await q.put(1);
        auto nothing = co_await q.get_for(20ms);
        CHECK_FALSE(nothing);
        stopped.kill();
        auto item = co_await q.get();
        CHECK(item == 1);
        co_await stopped.join();
    });
}

TEST_CASE("who is stopped in the middle of a put holds up those who put for as long as they want to wait, and nobody who gets")
{
    in_loop([]() -> task<> {
        queue<int> q;
        event there;
        co_await q.put(1);
        auto stopped = co_await process::start(stop_with_mutex, q, false, there);
        co_await there.wait();
        auto put = co_await q.put_for(2, 20ms);
        CHECK_FALSE(put);
        auto item = co_await q.get();
        CHECK(item == 1);
        stopped.kill();
        co_await q.put(3);
        item = co_await q.get();
        CHECK(item == 3);
        co_await stopped.join();
    });
}

TEST_CASE("closing a queue ends the wait of everybody on a loop that waits there")
{
    constexpr int many = 5;
    in_loop([]() -> task<> {
        queue<int> empty, with_some, full{1};
        CHECK(full.try_put(0));
        int got_nothing = 0, refused = 0;
        auto got = [&](std::exception_ptr error, const std::optional<int>& item) { got_nothing += !error && !item ? 1 : 0; };
        auto put = [&](const std::exception_ptr& error, auto&&...) { refused += error ? 1 : 0; };
        auto loop = co_await asio::this_coro::executor;
        for (int i = 0; i < many; ++i) {
            asio::co_spawn(loop, empty.get(), got);
            asio::co_spawn(loop, empty.get_for(1h), got);
            asio::co_spawn(loop, with_some.get(), got);
            asio::co_spawn(loop, full.put(1), put);
            asio::co_spawn(loop, full.put_for(1, 1h), put);
        }
        int seen = 0;
        for (int i = 0; i < many; ++i)
            asio::co_spawn(loop, wait_any(empty), [&](std::exception_ptr, const auto&) { ++seen; });
        asio::steady_timer timer{loop};
        auto turn = [&] {
            timer.expires_after(1ms);
            return timer.async_wait(asio::use_awaitable);
        };
        auto all_wait = turn();
        co_await std::move(all_wait);
        CHECK(with_some.try_put(1));
        CHECK(with_some.try_put(2));
        empty.close();
        with_some.close();
        full.close();
        while (got_nothing < 3 * many - 2 || refused < 2 * many || seen < many) { // else the test hangs
            auto next = turn();
            co_await std::move(next);
        }
    });
}

TEST_CASE("a closed queue takes nothing more and gives what is left, then the end", "[QUE-007][QUE-009]")
{
    in_loop([]() -> task<> {
        queue<int> q;
        co_await q.put(1);
        co_await q.put(2);
        q.close();
        q.close();
        CHECK(q.closed());
        auto put = failure_of(q.put(3));
        CHECK(is<usage_error>(co_await std::move(put), "closed"));
        CHECK_THROWS_AS(q.try_put(3), usage_error);
        CHECK((co_await q.get()) == 1);
        CHECK((co_await q.get()) == 2);
        CHECK_FALSE(co_await q.get());
        CHECK_FALSE(q.try_get());
    });
}

TEST_CASE("closing wakes those that wait for items and for room, in other processes too")
{
    in_loop([]() -> task<> {
        queue<tagged> empty, full{1}, out;
        co_await full.put({0, 0});
        auto getter = co_await process::start(consume, empty, out);
        auto putter = co_await process::start(produce, full, 1, 1);
        empty.close();
        full.close();
        auto got = co_await getter.join();
        CHECK(got.ok());
        auto put = co_await putter.join(); // what it threw ends it
        CHECK(put.code() == 1);
    });
}

TEST_CASE("the items of one producer come out in its order, whatever the others put", "[QUE-003]")
{
    in_loop([]() -> task<> {
        queue<tagged> q{16};
        std::vector<process> producers;
        for (int i = 0; i < 3; ++i)
            producers.push_back(co_await process::start(produce, q, i, 2000));
        std::array<int, 3> next{};
        for (int i = 0; i < 6000; ++i) {
            auto [who, number] = (co_await q.get()).value();
            if (number != next.at(static_cast<std::size_t>(who))++)
                FAIL_CHECK("out of order");
        }
        for (auto& p : producers)
            CHECK((co_await p.join()).ok());
    });
}

TEST_CASE("items outlive the process that put them", "[QUE-004]")
{
    in_loop([]() -> task<> {
        queue<int> q;
        auto p = co_await process::start(put_numbers, q, 1000);
        CHECK((co_await p.join()).ok());
        CHECK(q.size() == 1000);
        for (int i = 0; i < 1000; ++i)
            if ((co_await q.get()) != i)
                FAIL_CHECK("lost");
    });
}

TEST_CASE("a thousand items through ten places make the producer wait and overflow nothing", "[QUE-014]")
{
    in_loop([]() -> task<> {
        queue<int> q{10};
        auto p = co_await process::start(put_numbers, q, 1000);
        for (int i = 0; i < 1000; ++i) {
            CHECK(q.size() <= 10);
            if ((co_await q.get()) != i)
                FAIL_CHECK("out of order");
        }
        CHECK((co_await p.join()).ok());
    });
}

TEST_CASE("a queue made by one side and waited for by a plain function on the other passes items both ways", "[QUE-024]")
{
    in_loop([]() -> task<> {
        queue<std::string> in, out;
        auto p = co_await process::start(echo, in, out);
        co_await in.put("there");
        CHECK((co_await out.get()) == "there");
        std::thread plain{[&] { sync_wait(in.put("and back")); }};
        CHECK((co_await out.get()) == "and back");
        plain.join();
        in.close();
        CHECK((co_await p.join()).ok());
    });
}

TEST_CASE("items of all sizes come out as they were put, empty ones too", "[QUE-015]")
{
    in_loop([]() -> task<> {
        queue<std::string> in{4}, out{4};
        auto p = co_await process::start(echo, in, out);
        for (std::size_t size : {0u, 1u, 7u, 8u, 9u, 4095u, 65'535u, 65'536u, 65'537u, 1'000'000u, 100'000'000u, 3u}) {
            std::string item(size, 'x');
            for (std::size_t i = 0; i < size; i += 997)
                item[i] = static_cast<char>(i);
            co_await in.put(item);
            if ((co_await out.get()) != item)
                FAIL_CHECK("changed: " << size);
        }
        in.close();
        CHECK((co_await p.join()).ok());
    });
}

TEST_CASE("a queue grows while nobody gets, and gives its memory back when it has been emptied")
{
    in_loop([]() -> task<> {
        queue<std::vector<char>> q;
        const std::vector<char> item(1'000'000, 'x');
        for (int i = 0; i < 100; ++i)
            co_await q.put(item);
        CHECK(memory_of_queues() > 90'000'000);
        for (int i = 0; i < 100; ++i)
            if ((co_await q.get()) != item)
                FAIL_CHECK("changed");
        for (int i = 0; i < 3; ++i) { // the last segment is given back when the next item is there
            co_await q.put(item);
            static_cast<void>(co_await q.get());
        }
        CHECK(memory_of_queues() < 90'000'000); // 64 MiB are kept for the next items, and up to 16 not given back yet
    });
}

TEST_CASE("handles travel in items: a queue in a queue, a mutex, a value")
{
    using bundle = std::tuple<queue<int>, mutex, shared_value<int>>;
    in_loop([]() -> task<> {
        queue<bundle> q;
        queue<int> inner;
        mutex m;
        shared_value<int> v{7};
        for (int i = 0; i < 100; ++i)
            co_await q.put(bundle{inner, m, v});
        for (int i = 0; i < 100; ++i) {
            auto item = co_await q.get();
            auto& [same, lock, value] = *item;
            co_await same.put(i);
            CHECK((co_await inner.get()) == i);
            CHECK(value.fetch_add(1) == 7 + i);
            CHECK(lock == m);
        }
    });
}

TEST_CASE("a handle of a queue of other items is refused")
{
    detail::buffer bytes;
    output_archive out{bytes};
    queue<int> q;
    out(q);
    queue<double> other;
    joinable_queue<int> joinable;
    auto attachments = bytes.attachments();
    input_archive in{bytes.data(), bytes.size(), &attachments};
    CHECK_THROWS_AS(in(other), type_error);
    attachments = bytes.attachments();
    input_archive again{bytes.data(), bytes.size(), &attachments};
    CHECK_THROWS_AS(again(joinable), type_error);
    input_archive nothing{bytes.data(), bytes.size(), nullptr};
    CHECK_THROWS_AS(nothing(q), protocol_error);
}

TEST_CASE("a get that is cancelled takes nothing, and wakes the next one if it was woken")
{
    using namespace asio::experimental::awaitable_operators;
    in_loop([]() -> task<> {
        queue<int> q;
        for (int i = 0; i < 50; ++i) {
            asio::steady_timer soon{co_await asio::this_coro::executor, std::chrono::microseconds{i}};
            auto either = q.get() || soon.async_wait(asio::use_awaitable);
            auto winner = co_await std::move(either);
            CHECK(winner.index() == 1);
        }
        co_await q.put(1);
        CHECK((co_await q.get()) == 1);
    });
}

TEST_CASE("a put that is cancelled puts nothing")
{
    using namespace asio::experimental::awaitable_operators;
    in_loop([]() -> task<> {
        queue<int> q{1};
        co_await q.put(1);
        for (int i = 0; i < 50; ++i) {
            asio::steady_timer soon{co_await asio::this_coro::executor, std::chrono::microseconds{i}};
            auto either = q.put(2) || soon.async_wait(asio::use_awaitable);
            auto winner = co_await std::move(either);
            CHECK(winner.index() == 1);
        }
        CHECK((co_await q.get()) == 1);
        CHECK(q.empty());
    });
}

TEST_CASE("join ends when the last item is done, not before", "[QUE-005]")
{
    using namespace asio::experimental::awaitable_operators;
    in_loop([]() -> task<> {
        joinable_queue<int> q;
        for (int i = 0; i < 3; ++i)
            co_await q.put(i);
        for (int i = 0; i < 3; ++i) {
            asio::steady_timer soon{co_await asio::this_coro::executor, 1ms};
            auto either = q.join() || soon.async_wait(asio::use_awaitable);
            auto winner = co_await std::move(either);
            CHECK(winner.index() == 1);
            static_cast<void>(co_await q.get());
            q.task_done();
        }
        co_await q.join();
        CHECK_THROWS_AS(q.task_done(), usage_error);
    });
}

TEST_CASE("a joinable queue that was never used is done at once", "[QUE-025]")
{
    in_loop([]() -> task<> {
        joinable_queue<int> q;
        co_await q.join();
    });
}

namespace {

task<> finish_items(joinable_queue<int> q)
{
    while (auto item = co_await q.get())
        q.task_done();
}

} // namespace

TEST_CASE("four consumers finish all items of a joinable queue", "[QUE-005]")
{
    in_loop([]() -> task<> {
        joinable_queue<int> q;
        std::vector<process> consumers;
        for (int i = 0; i < 4; ++i)
            consumers.push_back(co_await process::start(finish_items, q));
        for (int i = 0; i < 1000; ++i)
            co_await q.put(i);
        co_await q.join();
        CHECK(q.empty());
        q.close();
        for (auto& c : consumers)
            CHECK((co_await c.join()).ok());
    });
}

namespace {

task<int> converse(queue<int> questions, queue<int> answers)
{
    int count = 0;
    while (auto question = co_await questions.get()) {
        co_await answers.put(2 * *question);
        ++count;
    }
    co_return count;
}

} // namespace

TEST_CASE("a running task of a pool and its caller exchange messages, and its result follows", "[EXE-039]")
{
    in_loop([]() -> task<> {
        coproc::pool pool{1};
        queue<int> questions, answers;
        auto submitted = pool.submit(converse, questions, answers);
        for (int i = 0; i < 5; ++i) {
            co_await questions.put(i);
            CHECK((co_await answers.get()) == 2 * i);
        }
        CHECK_FALSE(submitted.ready());
        questions.close();
        CHECK((co_await submitted.get()) == 5);
    });
}

TEST_CASE("wait_any wakes for an item of a queue, takes nothing, and leaves it to whoever gets it", "[CON-013]")
{
    in_loop([]() -> task<> {
        queue<int> first, second;
        auto p = co_await process::start(put_numbers, second, 1);
        auto ready = wait_any(first, second);
        auto which = co_await std::move(ready);
        CHECK(which == std::vector<std::size_t>{1});
        CHECK((co_await second.get()) == 0);
        auto none = wait_any(first, second, 1ms);
        which = co_await std::move(none);
        CHECK(which == std::vector<std::size_t>{2});
        first.close();
        auto end = wait_any(first, second);
        which = co_await std::move(end);
        CHECK(which == std::vector<std::size_t>{0});
        CHECK((co_await p.join()).ok());
    });
}

TEST_CASE("an item that wakes a wait_any also wakes a get that waits")
{
    using namespace asio::experimental::awaitable_operators;
    in_loop([]() -> task<> {
        queue<int> q;
        for (int i = 0; i < 20; ++i) {
            auto p = co_await process::start(put_numbers, q, 2);
            auto both = wait_any(q) && q.get();
            static_cast<void>(co_await std::move(both));
            static_cast<void>(co_await q.get());
            CHECK((co_await p.join()).ok());
        }
    });
}

namespace {

queue<int>& inherited()
{
    static queue<int> q;
    return q;
}

int use_inherited()
{
    try {
        static_cast<void>(inherited().try_put(1));
    } catch (const usage_error&) {
        return 7;
    }
    return 0;
}

} // namespace

TEST_CASE("a queue that came along by fork is refused, as its descriptors' numbers may be other files'")
{
    in_loop([]() -> task<> {
        CHECK(inherited().empty());
        process_options options;
        options.method = start_method::fork;
        auto p = co_await process::start(options, use_inherited);
        CHECK((co_await p.join()).code() == 7);
        CHECK(inherited().empty());
        inherited() = queue<int>{};
    });
}

TEST_CASE("parent and child see the same emptiness", "[QUE-010]")
{
    in_loop([]() -> task<> {
        coproc::pool pool{1};
        queue<int> q;
        auto is_empty = [](queue<int> theirs) { return theirs.empty(); };
        CHECK(co_await pool.apply(is_empty, q));
        co_await q.put(1);
        CHECK_FALSE(co_await pool.apply(is_empty, q));
        CHECK_FALSE(q.empty());
    });
}

TEST_CASE("two hundred queues of numbers in a process with 256 descriptors")
{
    rlimit old{};
    ::getrlimit(RLIMIT_NOFILE, &old);
    rlimit few = old;
    few.rlim_cur = 256;
    ::setrlimit(RLIMIT_NOFILE, &few);
    in_loop([]() -> task<> {
        std::vector<queue<int>> queues(200);
        for (int i = 0; i < 200; ++i)
            co_await queues[static_cast<std::size_t>(i)].put(i);
        int sum = 0;
        for (auto& q : queues)
            sum += (co_await q.get()).value();
        CHECK(sum == 19'900);
    });
    ::setrlimit(RLIMIT_NOFILE, &old);
}
