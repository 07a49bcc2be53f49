// Streams and the coroutines that make them.
#include "pool/coroutines.hpp"
#include "pool/tasks.hpp"
#include "support/counted.hpp"

#include <coproc/stream.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/io_context.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/use_future.hpp>

#include <exception>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

using namespace pool_test;
using namespace std::chrono_literals;
using namespace asio::experimental::awaitable_operators;
using support::counted;

static_assert(coproc::detail::is_stream<coproc::stream<int>>);
static_assert(!coproc::detail::is_stream<coproc::task<int>>);
static_assert(!std::is_copy_constructible_v<coproc::stream<int>>);
static_assert(std::is_nothrow_move_constructible_v<coproc::stream<int>>);

namespace {

coproc::stream<int> up_to(int n)
{
    for (int i = 0; i < n; ++i)
        co_yield i;
}

template <class T>
coproc::task<std::vector<T>> rest_of(coproc::stream<T>& stream)
{
    std::vector<T> items;
    while (auto item = co_await stream.next())
        items.push_back(std::move(*item));
    co_return items;
}
template <class T>
coproc::task<std::vector<T>> all_of(coproc::stream<T> stream)
{
    co_return co_await rest_of(stream);
}

// What one waits for until somebody opens it.
struct gate {
    explicit gate(asio::any_io_executor executor) : timer{executor, asio::steady_timer::time_point::max()} {}
    coproc::task<> pass()
    {
        std::error_code error;
        auto opened = timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
        co_await std::move(opened);
    }
    void open() { timer.cancel(); }
    asio::steady_timer timer;
};

coproc::task<int> same_at_once(int n) { co_return n; }
coproc::task<int> broken(const char* why)
{
    throw std::runtime_error{why};
    co_return 0;
}

coproc::stream<int> until_cancelled(std::exception_ptr& seen)
{
    counted local;
    co_yield 0;
    try {
        co_await pass(1h);
    } catch (...) {
        seen = std::current_exception();
        throw;
    }
    co_yield 1;
}

bool is_aborted(const std::exception_ptr& e)
{
    try {
        if (e)
            std::rethrow_exception(e);
    } catch (const std::system_error& error) {
        return error.code() == asio::error::operation_aborted;
    } catch (...) {
    }
    return false;
}

} // namespace

TEST_CASE("a stream gives its items in order, and then nothing")
{
    in_loop([]() -> coproc::task<> {
        auto stream = up_to(3);
        CHECK(co_await stream.next() == 0);
        CHECK(co_await stream.next() == 1);
        CHECK(co_await stream.next() == 2);
        CHECK(co_await stream.next() == std::nullopt);
        CHECK(co_await stream.next() == std::nullopt);
    });
}

TEST_CASE("a stream without items ends at the first next")
{
    in_loop([]() -> coproc::task<> {
        auto stream = up_to(0);
        CHECK(co_await stream.next() == std::nullopt);
        CHECK(stream.valid());
    });
}

TEST_CASE("a generator begins at the first next, not when it is called or next is")
{
    in_loop([]() -> coproc::task<> {
        bool begun = false;
        auto make = [](bool& flag) -> coproc::stream<int> {
            flag = true;
            co_yield 1;
        };
        auto stream = make(begun);
        auto next = stream.next();
        CHECK(!begun);
        CHECK(co_await std::move(next) == 1);
        CHECK(begun);
    });
}

TEST_CASE("a generator goes no further than its co_yield before the following next")
{
    in_loop([]() -> coproc::task<> {
        int at = 0;
        auto make = [](int& place) -> coproc::stream<int> {
            place = 1;
            co_yield 1;
            place = 2;
            co_yield 2;
        };
        auto stream = make(at);
        CHECK(co_await stream.next() == 1);
        CHECK(at == 1);
        CHECK(co_await stream.next() == 2);
        CHECK(at == 2);
    });
}

TEST_CASE("what leaves a generator is thrown after its items, and the stream has ended")
{
    in_loop([]() -> coproc::task<> {
        auto make = []() -> coproc::stream<int> {
            co_yield 1;
            throw std::out_of_range{"enough"};
        };
        auto stream = make();
        CHECK(co_await stream.next() == 1);
        auto failure = co_await failure_of(stream.next());
        CHECK(is<std::out_of_range>(failure, "enough"));
        CHECK(co_await stream.next() == std::nullopt);
    });
}

TEST_CASE("a stream that is destroyed at a co_yield destroys the generator's locals and arguments")
{
    counted::reset();
    in_loop([]() -> coproc::task<> {
        auto make = [](counted) -> coproc::stream<int> {
            counted local{1};
            for (;;)
                co_yield local.id;
        };
        {
            auto stream = make(counted{2});
            CHECK(co_await stream.next() == 1);
            CHECK(counted::alive == 2);
        }
        CHECK(counted::alive == 0);
        {
            auto never_begun = make(counted{3});
            CHECK(counted::alive == 1);
        }
        CHECK(counted::alive == 0);
    });
}

TEST_CASE("a generator that ends lets go of its arguments at once")
{
    counted::reset();
    in_loop([]() -> coproc::task<> {
        auto make = [](counted) -> coproc::stream<int> { co_yield 1; };
        auto stream = make(counted{});
        CHECK(co_await stream.next() == 1);
        CHECK(counted::alive == 1);
        CHECK(co_await stream.next() == std::nullopt);
        CHECK(counted::alive == 0);
    });
}

TEST_CASE("a generator awaits timers between its items")
{
    auto make = []() -> coproc::stream<int> {
        asio::steady_timer timer{co_await asio::this_coro::executor};
        for (int i = 0; i < 3; ++i) {
            timer.expires_after(1ms);
            co_await timer.async_wait(asio::use_awaitable);
            co_yield i;
        }
    };
    CHECK(coproc::sync_wait(all_of(make())) == std::vector{0, 1, 2});
}

TEST_CASE("a generator gets the results of what it awaits")
{
    auto make = []() -> coproc::stream<std::string> {
        co_yield std::to_string(co_await same_later(1));
        co_yield std::to_string(co_await same_at_once(2) + co_await same_later(3));
    };
    CHECK(coproc::sync_wait(all_of(make())) == std::vector<std::string>{"1", "5"});
}

TEST_CASE("a generator catches what it awaits throws, and goes on")
{
    auto make = []() -> coproc::stream<std::string> {
        std::string why;
        try {
            co_await broken("a reason that is too long for a short string");
        } catch (const std::runtime_error& e) {
            why = e.what();
        }
        co_yield why;
        co_yield "and on";
        co_await broken("at last");
    };
    in_loop([&]() -> coproc::task<> {
        auto stream = make();
        CHECK(co_await stream.next() == "a reason that is too long for a short string");
        CHECK(co_await stream.next() == "and on");
        auto failure = co_await failure_of(stream.next());
        CHECK(is<std::runtime_error>(failure, "at last"));
    });
}

TEST_CASE("items may be move-only")
{
    auto make = []() -> coproc::stream<std::unique_ptr<int>> {
        co_yield std::make_unique<int>(1);
        auto named = std::make_unique<int>(2);
        co_yield std::move(named);
    };
    in_loop([&]() -> coproc::task<> {
        auto stream = make();
        CHECK(**co_await stream.next() == 1);
        CHECK(**co_await stream.next() == 2);
        CHECK(co_await stream.next() == std::nullopt);
    });
}

TEST_CASE("yielding a variable copies it, yielding a temporary does not")
{
    counted::reset();
    in_loop([]() -> coproc::task<> {
        auto make = []() -> coproc::stream<counted> {
            counted named{1};
            co_yield named;
            CHECK(named.id == 1);
            CHECK(counted::copied == 1);
            co_yield counted{2};
            CHECK(counted::copied == 1);
        };
        auto stream = make();
        CHECK((co_await stream.next())->id == 1);
        CHECK((co_await stream.next())->id == 2);
        CHECK(co_await stream.next() == std::nullopt);
    });
    CHECK(counted::alive == 0);
}

TEST_CASE("items may be written in braces, and of a type without default constructor")
{
    struct point {
        point(int across, int down) : x{across}, y{down} {}
        int x, y;
    };
    auto make = []() -> coproc::stream<point> { co_yield {1, 2}; };
    in_loop([&]() -> coproc::task<> {
        auto stream = make();
        auto item = co_await stream.next();
        CHECK((item && item->x == 1 && item->y == 2));
    });
}

// Not `co_yield entry{...}`: g++ 12 destroys it twice; see "known traps" in the design page.
TEST_CASE("items may be aggregates that own something, named or returned by a function")
{
    struct entry {
        std::string name;
        counted number;
    };
    counted::reset();
    auto make = []() -> coproc::stream<entry> {
        auto returned = [](int n) { return entry{"one that a function returns, also too long", counted{n}}; };
        entry named{"a name that is too long for a short string", counted{1}};
        co_yield named;
        co_yield std::move(named);
        co_yield returned(2);
    };
    in_loop([&]() -> coproc::task<> {
        auto stream = make();
        auto all = co_await rest_of(stream);
        REQUIRE(all.size() == 3);
        CHECK(all[0].name == "a name that is too long for a short string");
        CHECK(all[1].name == "a name that is too long for a short string");
        CHECK(all[2].name == "one that a function returns, also too long");
        CHECK(all[2].number.id == 2);
    });
    CHECK(counted::alive == 0);
}

TEST_CASE("a million items that are there at once do not overflow the stack")
{
    in_loop([]() -> coproc::task<> {
        auto stream = up_to(1'000'000);
        long sum = 0;
        while (auto item = co_await stream.next())
            sum += *item;
        CHECK(sum == 499'999'500'000);
    });
}

TEST_CASE("a million things that are ready when a generator awaits them do not overflow the stack")
{
    in_loop([]() -> coproc::task<> {
        auto make = []() -> coproc::stream<long> {
            long sum = 0;
            for (int i = 0; i < 1'000'000; ++i)
                sum += co_await same_at_once(i);
            co_yield sum;
        };
        auto stream = make();
        CHECK(co_await stream.next() == 499'999'500'000);
    });
}

TEST_CASE("cancelling next cancels what the generator awaits, and the stream can be destroyed then")
{
    counted::reset();
    in_loop([]() -> coproc::task<> {
        std::exception_ptr seen;
        {
            auto stream = until_cancelled(seen);
            CHECK(co_await stream.next() == 0);
            CHECK(counted::alive == 1);
            auto either = stream.next() || pass(1ms);
            auto first = co_await std::move(either);
            CHECK(first.index() == 1);
            CHECK(is_aborted(seen));
            CHECK(counted::alive == 0);
            CHECK(co_await stream.next() == std::nullopt);
        }
    });
}

TEST_CASE("an item that comes before the time limit is kept")
{
    in_loop([]() -> coproc::task<> {
        auto stream = up_to(2);
        auto either = stream.next() || pass(1h);
        auto first = co_await std::move(either);
        CHECK(first.index() == 0);
        CHECK(std::get<0>(first) == 0);
        CHECK(co_await stream.next() == 1);
    });
}

TEST_CASE("operation_aborted leaves a next that is cancelled")
{
    asio::io_context loop;
    asio::cancellation_signal cancel;
    std::exception_ptr seen, left;
    auto stream = until_cancelled(seen);
    auto use = [&]() -> coproc::task<> {
        co_await stream.next();
        co_await stream.next();
    };
    asio::co_spawn(loop, use(), asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr e) { left = e; }));
    while (loop.poll() > 0)
        ;
    CHECK(!left);
    cancel.emit(asio::cancellation_type::terminal);
    loop.run();
    CHECK(is_aborted(left));
    CHECK(is_aborted(seen));
}

TEST_CASE("a generator that catches its cancellation can still give an item, but waits for nothing more")
{
    asio::io_context loop;
    asio::cancellation_signal cancel;
    std::exception_ptr again;
    bool asked = false;
    auto make = [](asio::any_io_executor own, std::exception_ptr& second, bool& asks) -> coproc::stream<int> {
        try {
            co_await pass(1h);
        } catch (const std::system_error&) {
        }
        asks = co_await asio::this_coro::executor == own;
        try {
            co_await pass(1h);
        } catch (...) {
            second = std::current_exception();
        }
        co_yield 7;
    };
    auto stream = make(loop.get_executor(), again, asked);
    std::optional<int> last;
    auto keep = [&](std::exception_ptr, std::optional<int> item) { last = item; };
    asio::co_spawn(loop, stream.next(), asio::bind_cancellation_slot(cancel.slot(), keep));
    while (loop.poll() > 0)
        ;
    cancel.emit(asio::cancellation_type::terminal);
    loop.run();
    CHECK(asked);
    CHECK(is_aborted(again));
    CHECK(last == 7);
}

TEST_CASE("a second next at the same time is refused, and the first one is not harmed")
{
    in_loop([]() -> coproc::task<> {
        gate closed{co_await asio::this_coro::executor};
        auto make = [](gate& g) -> coproc::stream<int> {
            co_await g.pass();
            co_yield 1;
            co_yield 2;
        };
        auto stream = make(closed);
        auto second = [](coproc::stream<int>& s, gate& g) -> coproc::task<std::exception_ptr> {
            auto failure = co_await failure_of(s.next());
            g.open();
            co_return failure;
        };
        auto both = stream.next() && second(stream, closed);
        auto [item, failure] = co_await std::move(both);
        CHECK(item == 1);
        CHECK(is<coproc::usage_error>(failure, "in progress"));
        CHECK(co_await stream.next() == 2);
    });
}

TEST_CASE("an empty stream is not valid and refuses next")
{
    coproc::stream<int> stream;
    CHECK(!stream.valid());
    CHECK_THROWS_AS(static_cast<void>(stream.next()), coproc::usage_error);
    stream = up_to(1);
    CHECK(stream.valid());
    auto other = std::move(stream);
    CHECK(!stream.valid());
    CHECK_THROWS_AS(static_cast<void>(stream.next()), coproc::usage_error);
    CHECK(coproc::sync_wait(other.next()) == 0);
}

TEST_CASE("a stream that is moved goes on where it was")
{
    in_loop([]() -> coproc::task<> {
        auto stream = up_to(3);
        CHECK(co_await stream.next() == 0);
        auto next = stream.next();
        auto other = std::move(stream);
        CHECK(co_await std::move(next) == 1);
        CHECK(co_await other.next() == 2);
    });
}

TEST_CASE("generators pull from other streams, and what they leave is destroyed with them")
{
    counted::reset();
    auto numbers = []() -> coproc::stream<int> {
        counted local;
        for (int i = 0;; ++i)
            co_yield co_await same_later(i);
    };
    auto squares = [](coproc::stream<int> from) -> coproc::stream<long> {
        while (auto i = co_await from.next())
            co_yield 1L * *i * *i;
    };
    auto first = [](int n, coproc::stream<long> from) -> coproc::stream<std::string> {
        for (; n > 0; --n)
            co_yield std::to_string((co_await from.next()).value());
    };
    in_loop([&]() -> coproc::task<> {
        auto stream = first(4, squares(numbers()));
        auto all = co_await rest_of(stream);
        CHECK(all == std::vector<std::string>{"0", "1", "4", "9"});
        CHECK(counted::alive == 0);
    });
}

TEST_CASE("an exception passes through stages to whoever awaits the last one")
{
    auto numbers = []() -> coproc::stream<int> {
        co_yield 1;
        throw std::domain_error{"at the source"};
    };
    auto same = [](coproc::stream<int> from) -> coproc::stream<int> {
        while (auto i = co_await from.next())
            co_yield *i;
    };
    in_loop([&]() -> coproc::task<> {
        auto stream = same(same(numbers()));
        CHECK(co_await stream.next() == 1);
        auto failure = co_await failure_of(stream.next());
        CHECK(is<std::domain_error>(failure, "at the source"));
    });
}

TEST_CASE("cancelling reaches through stages")
{
    counted::reset();
    in_loop([]() -> coproc::task<> {
        std::exception_ptr seen;
        auto same = [](coproc::stream<int> from) -> coproc::stream<int> {
            while (auto i = co_await from.next())
                co_yield *i;
        };
        auto stream = same(same(until_cancelled(seen)));
        CHECK(co_await stream.next() == 0);
        auto either = stream.next() || pass(1ms);
        CHECK((co_await std::move(either)).index() == 1);
        CHECK(is_aborted(seen));
        CHECK(counted::alive == 0);
    });
}

TEST_CASE("a stream is used on one loop and then on another, each of which its generator sees")
{
    asio::io_context first, second;
    auto make = []() -> coproc::stream<asio::any_io_executor> {
        for (;;) {
            co_await pass(1ms);
            co_yield co_await asio::this_coro::executor;
        }
    };
    auto stream = make();
    for (auto* loop : {&first, &second, &first}) {
        std::optional<asio::any_io_executor> seen;
        auto keep = [&](std::exception_ptr, std::optional<asio::any_io_executor> e) { seen = e; };
        asio::co_spawn(*loop, stream.next(), keep);
        loop->restart();
        loop->run();
        CHECK((seen && *seen == asio::any_io_executor{loop->get_executor()}));
    }
}

TEST_CASE("a loop that is destroyed while its generator waits ends the stream")
{
    counted::reset();
    std::exception_ptr seen;
    auto stream = until_cancelled(seen);
    {
        asio::io_context loop;
        auto use = [](coproc::stream<int>& s) -> coproc::task<> {
            while (auto item = co_await s.next())
                ;
        };
        asio::co_spawn(loop, use(stream), asio::detached);
        while (loop.poll() > 0)
            ;
    }
    CHECK(!seen);
    CHECK(counted::alive == 0);
    CHECK(coproc::sync_wait(stream.next()) == std::nullopt);
}

TEST_CASE("a stream that goes before its loop, in the middle of a next, is destroyed with the loop")
{
    counted::reset();
    std::exception_ptr seen;
    {
        asio::io_context loop;
        auto stream = until_cancelled(seen);
        auto use = [](coproc::stream<int>& s) -> coproc::task<> {
            while (auto item = co_await s.next())
                ;
        };
        asio::co_spawn(loop, use(stream), asio::detached);
        while (loop.poll() > 0)
            ;
        CHECK(counted::alive == 1);
    }
    CHECK(!seen);
    CHECK(counted::alive == 0);
}

TEST_CASE("a next in progress keeps alive what is behind a stream that goes")
{
    counted::reset();
    in_loop([]() -> coproc::task<> {
        gate closed{co_await asio::this_coro::executor};
        auto make = [](gate& g) -> coproc::stream<int> {
            counted local{5};
            co_await g.pass();
            co_yield local.id;
        };
        auto stream = std::make_unique<coproc::stream<int>>(make(closed));
        auto drop = [](std::unique_ptr<coproc::stream<int>>& s, gate& g) -> coproc::task<> {
            s.reset();
            CHECK(counted::alive == 1);
            g.open();
            co_return;
        };
        auto both = stream->next() && drop(stream, closed);
        CHECK(co_await std::move(both) == 5);
        CHECK(counted::alive == 0);
    });
}

TEST_CASE("a generator's co_await keeps io_context::run from returning")
{
    asio::io_context loop;
    auto make = []() -> coproc::stream<int> { co_yield co_await same_later(1); };
    auto stream = make();
    auto item = asio::co_spawn(loop, stream.next(), asio::use_future);
    loop.run();
    CHECK(item.wait_for(0s) == std::future_status::ready);
    CHECK(item.get() == 1);
}

TEST_CASE("a generator calls a pool")
{
    auto make = []() -> coproc::stream<int> {
        coproc::pool pool{1};
        for (int i = 0; i < 3; ++i)
            co_yield co_await pool.apply(twice, i);
    };
    CHECK(coproc::sync_wait(all_of(make())) == std::vector{0, 2, 4});
}

TEST_CASE("a stream is made of any source, which is not asked again once it has ended")
{
    struct countdown final : coproc::detail::stream_source<int> {
        explicit countdown(int n, bool b) : left{n}, breaks{b} {}
        coproc::task<std::optional<int>> next() override
        {
            REQUIRE(left >= 0);
            if (left-- > 0)
                co_return left;
            if (breaks)
                throw std::runtime_error{"broken"};
            co_return std::nullopt;
        }
        int left;
        bool breaks;
    };
    in_loop([]() -> coproc::task<> {
        coproc::stream<int> stream{std::make_unique<countdown>(2, false)};
        auto all = co_await rest_of(stream);
        CHECK(all == std::vector{1, 0});
        CHECK(co_await stream.next() == std::nullopt);
        coproc::stream<int> bad{std::make_unique<countdown>(0, true)};
        auto failure = co_await failure_of(bad.next());
        CHECK(is<std::runtime_error>(failure, "broken"));
        CHECK(co_await bad.next() == std::nullopt);
    });
}
