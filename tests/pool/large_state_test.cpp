// Functions with a large state: sent to each worker once, decoded there once, dropped when the call is over.
#include "pool/board.hpp"
#include "pool/stoppable.hpp"
#include "pool/tasks.hpp"
#include "support/slowness.hpp"
#include "wire/bulk.hpp"

#include "os/descriptor.hpp"

#include <asio/experimental/awaitable_operators.hpp>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <map>
#include <new>
#include <ranges>
#include <set>
#include <stdexcept>
#include <string>

using namespace pool_test;
namespace os = coproc::os;

namespace {

constexpr std::size_t large = 50'000'000, middle = 20'000, small = 100; // bytes: in a memory file, in a frame, in each message

int saves = 0, loads = 0, alive = 0; // in this process

/// Bytes that know how often they were encoded and decoded.
struct counted {
    std::string bytes;

    counted() { ++alive; }
    explicit counted(std::size_t size, char fill = 'x') : bytes(size, fill) { ++alive; }
    counted(const counted& other) : bytes{other.bytes} { ++alive; }
    ~counted() { --alive; }
    void save(coproc::output_archive& archive) const
    {
        ++saves;
        archive(bytes);
    }
    void load(coproc::input_archive& archive)
    {
        ++loads;
        archive(bytes);
    }
};

struct seen {
    int pid = 0, loads = 0;
    std::size_t size = 0;
    char first = 0;

    template <class Archive>
    void serialize(Archive& archive)
    {
        archive(pid, loads, size, first);
    }
};
seen look(const counted& state, int) { return {::getpid(), loads, state.bytes.size(), state.bytes.empty() ? '-' : state.bytes.front()}; }
seen look_at_two(const counted& state, int, int) { return look(state, 0); }
coproc::task<seen> look_later(const counted& state, int)
{
    asio::steady_timer timer{co_await asio::this_coro::executor, std::chrono::milliseconds{1}};
    co_await timer.async_wait(asio::use_awaitable);
    co_return look(state, 0);
}
/// Gives what it found before it changed the state.
seen change(counted& state, int n)
{
    auto result = look(state, n);
    state.bytes.front() = 'c';
    return result;
}
seen change_copy(counted state, int n) { return change(state, n); }
int alive_now() { return alive; }

/// The memory of this process that is its own, and what it has mapped of memory files, in kB.
std::size_t memory_in_kB()
{
    std::ifstream file{"/proc/self/status"};
    std::size_t result = 0;
    for (std::string word; file >> word;)
        if (word == "RssAnon:" || word == "RssShmem:") {
            std::size_t kB = 0;
            file >> kB;
            result += kB;
        }
    return result;
}

std::map<int, int> most_loads(const std::vector<seen>& all)
{
    std::map<int, int> result;
    for (auto& s : all)
        result[s.pid] = std::max(result[s.pid], s.loads);
    return result;
}

seen look_or_die(const std::string& path, const counted& state, int n)
{
    if (n == 20 && note(path, 0) == 1)
        std::raise(SIGKILL);
    return look(state, n);
}
/// Word 3 counts those that found their own state when they went on.
seen hold_and_change(const std::string& path, counted& state, int n)
{
    hold(path, n);
    if (std::ranges::count(state.bytes, 'x') == large)
        note(path, 3);
    return change(state, n);
}
int deaf_with(const std::string& path, const counted&, int) { return deaf(path); }
seen fail_once(const std::string& path, const counted& state, int n)
{
    if (note(path, 100 + static_cast<std::size_t>(n)) == 1)
        throw std::runtime_error{"the first try"};
    return look(state, n);
}

/// Can't be decoded.
struct refused {
    std::string bytes = std::string(middle, 'r');
    void save(coproc::output_archive& archive) const { archive(bytes); }
    void load(coproc::input_archive&) { throw std::domain_error{"it does not want to be read"}; }
};
int use_refused(const refused&, int n) { return n; }

/// A large state that carries the end of a pipe.
struct carried {
    std::shared_ptr<os::descriptor> end;
    std::string bytes;

    void save(coproc::output_archive& archive) const
    {
        archive.attach({end->get(), end});
        archive(bytes);
    }
    void load(coproc::input_archive& archive)
    {
        auto attachment = archive.take_attachment();
        end = std::const_pointer_cast<os::descriptor>(std::static_pointer_cast<const os::descriptor>(attachment.keep));
        archive(bytes);
    }
};
int write_to(const carried& to, int n)
{
    if (::write(to.end->get(), "x", 1) != 1)
        throw std::runtime_error{"it can't be written"};
    return n;
}
int write_to_own(carried& to, int n) { return write_to(to, n); }

/// A function object with a state, called in a way that could change it, or not.
struct reader {
    counted state;
    template <class Archive>
    void serialize(Archive& archive)
    {
        archive(state);
    }
    seen operator()(int n) const { return look(state, n); }
};

template <class T>
coproc::task<std::vector<T>> all_of(coproc::stream<T> from)
{
    std::vector<T> result;
    for (;;) {
        auto next = from.next();
        auto item = co_await std::move(next);
        if (!item)
            co_return result;
        result.push_back(std::move(*item));
    }
}

} // namespace

TEST_CASE("a large state is encoded once, and decoded once by each worker, however many elements there are")
{
    auto size = GENERATE(large, middle);
    in_loop([=]() -> coproc::task<> {
        coproc::pool pool{2};
        saves = 0;
        auto all = co_await pool.map(coproc::bind_front(look, counted{size}), up_to(200), {.chunk_size = 1});
        CHECK(saves == 1);
        REQUIRE(all.size() == 200);
        for (auto& s : all)
            REQUIRE((s.size == size && s.first == 'x'));
        for (auto [pid, count] : most_loads(all))
            CHECK(count == 1);
    });
}

TEST_CASE("a small state travels in each message")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        saves = 0;
        auto all = co_await pool.map(coproc::bind_front(look, counted{small}), up_to(20), {.chunk_size = 2});
        CHECK(saves == 1);
        CHECK(all.back().loads == 10);
    });
}

TEST_CASE("large states of starmap, imap, imap_unordered, of coroutines and of function objects are decoded once, too")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{{.workers = 1, .concurrency = 10}};
        auto f = coproc::bind_front(look, counted{middle});
        std::vector<std::tuple<int, int>> pairs(20);
        CHECK((co_await pool.starmap(coproc::bind_front(look_at_two, counted{middle}), pairs, {.chunk_size = 1})).back().loads == 1);
        auto ordered = all_of(pool.imap(f, up_to(20), {.chunk_size = 1}));
        CHECK((co_await std::move(ordered)).back().loads == 2);
        auto unordered = all_of(pool.imap_unordered(f, up_to(20), {.chunk_size = 1}));
        CHECK(std::ranges::max(co_await std::move(unordered), {}, &seen::loads).loads == 3);
        auto fed = all_of(pool.imap(f, pool.imap(twice, up_to(20)), {.chunk_size = 1}));
        CHECK((co_await std::move(fed)).back().loads == 4);
        CHECK((co_await pool.map(coproc::bind_front(look_later, counted{middle}), up_to(100))).back().loads == 5);
        reader object{counted{middle}};
        CHECK((co_await pool.map(object, up_to(20), {.chunk_size = 1})).back().loads == 6);
    });
}

TEST_CASE("what a task changes in its large state is seen by no other message")
{
    auto size = GENERATE(large / 10, middle);
    in_loop([=]() -> coproc::task<> {
        coproc::pool pool{1};
        auto all = co_await pool.map(coproc::bind_front(change, counted{size}), up_to(10), {.chunk_size = 1});
        for (auto& s : all)
            CHECK(s.first == 'x');
        CHECK(all.back().loads == 10);
        auto copies = co_await pool.map(coproc::bind_front(change_copy, counted{size}), up_to(10));
        for (auto& s : copies)
            CHECK(s.first == 'x');
        CHECK(copies.back().loads == 11);
    });
}

TEST_CASE("calls with different large states at the same time each see their own")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        auto f = coproc::bind_front(look, counted{middle, 'f'}), g = coproc::bind_front(look, counted{middle * 10, 'g'});
        using namespace asio::experimental::awaitable_operators;
        auto both = pool.map(f, up_to(300), {.chunk_size = 1}) && pool.map(g, up_to(300), {.chunk_size = 1});
        auto [fs, gs] = co_await std::move(both);
        for (auto& s : fs)
            REQUIRE((s.first == 'f' && s.size == middle));
        for (auto& s : gs)
            REQUIRE((s.first == 'g' && s.size == middle * 10));
        for (auto [pid, count] : most_loads(fs))
            CHECK(count <= 2);
    });
}

TEST_CASE("the memory of a large state goes back when its call is over, in the workers and here")
{
    auto size = GENERATE(large, middle);
    in_loop([=]() -> coproc::task<> {
        coproc::pool pool{1};
        auto before = co_await pool.apply(memory_in_kB);
        for (int i = 0; i < 3; ++i)
            co_await pool.map(coproc::bind_front(look, counted{size}), up_to(20), {.chunk_size = 1});
        CHECK(co_await pool.apply(alive_now) == 0);
#ifndef COPROC_TEST_IS_SANITIZED // which keeps for a while what was freed
        CHECK(co_await pool.apply(memory_in_kB) < before + 10'000);
#else
        static_cast<void>(before);
#endif
        co_await pool.close();
    });
    CHECK(coproc::detail::idle_bulk_bytes() == 0);
}

TEST_CASE("the memory of a large state goes back while the stream of its results is kept")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        auto results = pool.imap(coproc::bind_front(look, counted{large}), up_to(20));
        for (int i = 0; i < 20; ++i) {
            auto next = results.next();
            CHECK((co_await std::move(next)).value().size == large);
        }
        auto end = results.next();
        CHECK(!co_await std::move(end));
        CHECK(coproc::detail::idle_bulk_bytes() >= large);
    });
}

TEST_CASE("a worker that takes the place of a dead one gets the large state, too")
{
    auto size = GENERATE(large, middle);
    in_loop([=]() -> coproc::task<> {
        board b;
        coproc::pool pool{1};
        saves = 0;
        auto f = coproc::bind_front(look_or_die, b.path(), counted{size});
        auto all = co_await pool.map(f, up_to(100), {.retries = 1});
        CHECK(saves == 1);
        CHECK(most_loads(all).size() == 2);
        for (auto& s : all)
            REQUIRE((s.size == size && s.loads == 1));
    });
}

TEST_CASE("workers that are replaced after some tasks get the large state, too")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{{.workers = 1, .max_tasks_per_worker = 5}};
        auto all = co_await pool.map(coproc::bind_front(look, counted{middle}), up_to(20), {.chunk_size = 1});
        auto loads_of = most_loads(all);
        CHECK(loads_of.size() == 4);
        for (auto [pid, count] : loads_of)
            CHECK(count == 1);
    });
}

TEST_CASE("tasks with a large state are tried again with it")
{
    in_loop([]() -> coproc::task<> {
        board b;
        coproc::pool pool{2};
        auto all = co_await pool.map(coproc::bind_front(fail_once, b.path(), counted{middle}), up_to(20), {.retries = 1});
        for (auto& s : all)
            CHECK((s.size == middle && s.loads == 1));
    });
}

TEST_CASE("a call with a large state that is cancelled leaves nothing of it in a worker that goes on")
{
    in_loop([]() -> coproc::task<> {
        board b;
        coproc::pool pool{1};
        {
            auto held = pool.imap(coproc::bind_front(hold_and_change, b.path(), counted{large}), up_to(20), {.chunk_size = 1});
            co_await reached(b, 0, 1);
        }
        // The task that has begun still has it, whatever is sent meanwhile.
        auto next = pool.imap(coproc::bind_front(look, counted{large, 'n'}), up_to(20), {.chunk_size = 1});
        b[1] = 1;
        for (auto& s : co_await all_of(std::move(next)))
            CHECK((s.first == 'n' && s.size == large));
        CHECK(b[3] == 1);
        CHECK(co_await pool.apply(alive_now) == 0);
    });
}

TEST_CASE("a task with a large state that has to be killed costs no other call anything")
{
    in_loop([]() -> coproc::task<> {
        board b;
        coproc::pool pool{{.workers = 1, .grace = std::chrono::milliseconds{10}}};
        auto f = coproc::bind_front(deaf_with, b.path(), counted{middle});
        CHECK(is<coproc::timeout_error>(co_await failure_of(pool.map(f, up_to(3), {.timeout = std::chrono::milliseconds{50}}))));
        auto all = co_await pool.map(coproc::bind_front(look, counted{middle}), up_to(20), {.chunk_size = 1});
        CHECK(all.back().loads == 1);
    });
}

TEST_CASE("a large state that can't be decoded is the error of its call, and the worker lives")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        auto pid = co_await pool.apply(own_pid);
        auto f = coproc::bind_front(use_refused, refused{});
        CHECK(is<std::domain_error>(co_await failure_of(pool.map(f, up_to(20))), "does not want"));
        CHECK(co_await pool.apply(own_pid) == pid);
    });
}

#ifndef COPROC_TEST_IS_SANITIZED // an allocator that takes all there is beforehand
TEST_CASE("a large state that a worker has no memory for is the error of its call, and the worker lives")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{{.workers = 1, .memory_limit = 150u << 20}};
        auto pid = co_await pool.apply(own_pid);
        auto f = coproc::bind_front(look, counted{std::size_t{200} << 20});
        CHECK(is<std::bad_alloc>(co_await failure_of(pool.map(f, up_to(5)))));
        CHECK(co_await pool.apply(own_pid) == pid);
        CHECK((co_await pool.map(coproc::bind_front(look, counted{middle}), up_to(5))).back().size == middle);
    });
}
#endif

TEST_CASE("descriptors of a large state reach all workers")
{
    auto size = GENERATE(std::size_t{1'000'000}, middle, small);
    in_loop([=]() -> coproc::task<> {
        auto ends = os::make_pipe();
        auto &out = ends.first, &in = ends.second;
        {
            coproc::pool pool{2};
            carried to{std::make_shared<os::descriptor>(std::move(in)), std::string(size, 'd')};
            CHECK((co_await pool.map(coproc::bind_front(write_to, to), up_to(50), {.chunk_size = 1})) == up_to(50));
            CHECK((co_await pool.map(coproc::bind_front(write_to_own, to), up_to(50), {.chunk_size = 1})) == up_to(50));
            to = {};
            co_await pool.close();
        }
        std::string text(200, ' ');
        CHECK(::read(out.get(), text.data(), text.size()) == 100);
        CHECK(::read(out.get(), text.data(), text.size()) == 0); // nobody holds the other end any more
    });
}

TEST_CASE("workers let go of the descriptors of a large state when its call is over")
{
    in_loop([]() -> coproc::task<> {
        auto ends = os::make_pipe();
        auto &out = ends.first, &in = ends.second;
        coproc::pool pool{1};
        {
            carried to{std::make_shared<os::descriptor>(std::move(in)), std::string(middle, 'd')};
            co_await pool.map(coproc::bind_front(write_to, to), up_to(5), {.chunk_size = 1});
        }
        co_await pool.apply(own_pid); // behind the order to drop it
        std::string text(200, ' ');
        CHECK(::read(out.get(), text.data(), text.size()) == 5);
        CHECK(::read(out.get(), text.data(), text.size()) == 0);
    });
}

TEST_CASE("with inline workers a large state is decoded once for a call, and changes stay with their element")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{coproc::inline_workers};
        saves = loads = 0;
        auto all = co_await pool.map(coproc::bind_front(look, counted{middle}), up_to(20));
        CHECK(saves == 1);
        CHECK(all.back().loads == 1);
        auto later = co_await pool.map(coproc::bind_front(look_later, counted{middle}), up_to(20));
        CHECK(later.back().loads == 2);
        auto stream = all_of(pool.imap(coproc::bind_front(look, counted{middle}), up_to(20)));
        CHECK((co_await std::move(stream)).back().loads == 3);
        for (auto& s : co_await pool.map(coproc::bind_front(change, counted{middle}), up_to(5)))
            CHECK(s.first == 'x');
    });
    CHECK(alive == 0);
}
