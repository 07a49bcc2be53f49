// call_options::on_progress and this_task::report_progress.
#include "pool/board.hpp"
#include "pool/tasks.hpp"

#include <coproc/as_completed.hpp>
#include <coproc/this_task.hpp>

#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <numeric>
#include <stdexcept>
#include <thread>

using namespace pool_test;
using namespace std::chrono_literals;
using coproc::collect;
using coproc::finish_all;
using coproc::progress;

namespace {

/// What was told, copied.
struct told {
    std::size_t done = 0;
    std::optional<std::size_t> total, index;
    double fraction = 0;
    std::string text;
};
struct hearing {
    std::vector<told> all;
    std::vector<std::thread::id> threads;
    void operator()(const progress& p)
    {
        all.push_back({p.done, p.total, p.index, p.fraction, std::string{p.text}});
        threads.push_back(std::this_thread::get_id());
    }
    [[nodiscard]] std::vector<told> reports() const
    {
        std::vector<told> result;
        std::ranges::copy_if(all, std::back_inserter(result), [](auto& t) { return t.index.has_value(); });
        return result;
    }
};

int fails_on_odd(int n)
{
    if (n % 2 != 0)
        throw std::invalid_argument{"odd"};
    return n;
}
int third_time(const std::string& path, int n)
{
    if (note(path, 100 + static_cast<std::size_t>(n)) < 3)
        throw std::runtime_error{"not yet"};
    return n;
}
int reports_steps(int steps)
{
    for (int i = 1; i <= steps; ++i)
        coproc::this_task::report_progress(coproc::this_task::at_once, static_cast<double>(i) / steps, "step " + std::to_string(i));
    return steps;
}
int reports_often(int steps)
{
    for (int i = 1; i <= steps; ++i)
        coproc::this_task::report_progress(i, "");
    return steps;
}
int reports_and_throws(int)
{
    coproc::this_task::report_progress(0.25, "first");
    coproc::this_task::report_progress(0.5, "last");
    throw std::runtime_error{"after that"};
}
int reports_and_waits(const std::string& path)
{
    coproc::this_task::report_progress(0.5, "half");
    wait_for(path, 0, 1);
    return 1;
}
int from_another_thread(int n)
{
    std::thread{[] { coproc::this_task::report_progress(1); }}.join();
    return n;
}
coproc::task<int> coroutine_reports(int n)
{
    asio::steady_timer timer{co_await asio::this_coro::executor, 1ms};
    auto pause = timer.async_wait(asio::use_awaitable);
    co_await std::move(pause);
    coproc::this_task::report_progress(0.5, "coroutine");
    co_return n;
}
coproc::stream<int> generator_reports(int count)
{
    for (int i = 0; i < count; ++i) {
        coproc::this_task::report_progress(coproc::this_task::at_once, i);
        co_yield i;
    }
}

std::vector<int> up_to(int count)
{
    std::vector<int> result(static_cast<std::size_t>(count));
    std::iota(result.begin(), result.end(), 0);
    return result;
}
coproc::pool either_pool(bool in_line) { return in_line ? coproc::pool{coproc::inline_workers} : coproc::pool{2}; }

/// Counts go up, and the last is all there was, told once.
void check_counts(const hearing& heard, std::size_t count, std::optional<std::size_t> total)
{
    REQUIRE_FALSE(heard.all.empty());
    CHECK(heard.all.back().done == count);
    CHECK(heard.all.back().total == count);
    for (std::size_t i = 1; i < heard.all.size(); ++i) {
        CHECK(heard.all[i - 1].done <= heard.all[i].done);
        if (!heard.all[i].index && !heard.all[i - 1].index)
            CHECK((heard.all[i - 1].done < heard.all[i].done || heard.all[i - 1].total != heard.all[i].total));
        CHECK(heard.all[i - 1].total == total);
    }
}

} // namespace

TEST_CASE("progress counts each element once, and is complete at the end", "[PRG-001]")
{
    in_loop([]() -> coproc::task<> {
        auto pool = either_pool(GENERATE(false, true));
        const auto count = GENERATE(1, 10, 5000);
        hearing heard;
        auto inputs = up_to(count);
        auto results = co_await pool.map(twice, inputs, {.on_progress = [&](const progress& p) { heard(p); }});
        CHECK(results.size() == static_cast<std::size_t>(count));
        check_counts(heard, results.size(), results.size());
        for (auto thread : heard.threads)
            CHECK(thread == std::this_thread::get_id());
    });
}

TEST_CASE("progress of a call without input is complete at once", "[PRG-001]")
{
    in_loop([]() -> coproc::task<> {
        auto pool = either_pool(GENERATE(false, true));
        hearing heard;
        std::vector<int> nothing;
        co_await pool.map(twice, nothing, {.on_progress = std::ref(heard)});
        REQUIRE(heard.all.size() == 1);
        check_counts(heard, 0, 0);
        auto stream = pool.imap(twice, nothing, {.on_progress = std::ref(heard)});
        auto end = co_await stream.next();
        CHECK_FALSE(end);
        CHECK(heard.all.size() == 2);
    });
}

TEST_CASE("the total of an input of unknown length is told at the end")
{
    in_loop([]() -> coproc::task<> {
        auto pool = either_pool(GENERATE(false, true));
        hearing heard;
        auto numbers = up_to(300);
        auto inputs = numbers | std::views::filter([](int n) { return n % 3 == 0; });
        auto results = co_await pool.map(twice, inputs, {.on_progress = std::ref(heard)});
        check_counts(heard, results.size(), std::nullopt);
    });
}

TEST_CASE("a task that is tried again counts once; one that failed counts if the call goes on")
{
    in_loop([]() -> coproc::task<> {
        auto pool = either_pool(GENERATE(false, true));
        board board;
        hearing tried, collected, finished, failed;
        auto inputs = up_to(10);
        co_await pool.map(coproc::bind_front(third_time, board.path()), inputs, {.retries = 5, .on_progress = std::ref(tried)});
        check_counts(tried, 10, 10);
        co_await pool.map(fails_on_odd, inputs, {.on_error = collect, .on_progress = std::ref(collected)});
        check_counts(collected, 10, 10);
        auto e = co_await failure_of(pool.map(fails_on_odd, inputs, {.on_error = finish_all, .on_progress = std::ref(finished)}));
        CHECK(is<std::invalid_argument>(e));
        REQUIRE_FALSE(finished.all.empty());
        CHECK(finished.all.back().done == 10);
        CHECK(is<std::invalid_argument>(co_await failure_of(pool.map(fails_on_odd, inputs, {.chunk_size = 1, .on_progress = std::ref(failed)}))));
        if (!failed.all.empty())
            CHECK(failed.all.back().done < 10);
    });
}

TEST_CASE("progress of a stream is told by its next")
{
    in_loop([]() -> coproc::task<> {
        auto pool = either_pool(GENERATE(false, true));
        hearing heard;
        auto results = pool.imap(twice, up_to(500), {.in_flight = 20, .on_progress = std::ref(heard)});
        std::size_t taken = 0;
        while (auto item = co_await results.next()) {
            ++taken;
            CHECK((heard.all.empty() || heard.all.back().done <= taken + 20));
        }
        check_counts(heard, 500, 500);
    });
}

TEST_CASE("progress of a submitted task is told when it is awaited")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        hearing heard;
        auto result = pool.submit({.on_progress = std::ref(heard)}, reports_steps, 3);
        CHECK(co_await result.wait_for(1min));
        CHECK(heard.all.empty());
        CHECK(co_await result.get() == 3);
        CHECK(heard.reports().size() == 3);
        check_counts(heard, 1, 1);
    });
}

TEST_CASE("progress wakes nobody who waits for the end only")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{2};
        hearing heard;
        std::vector<coproc::async_result<int>> submitted;
        submitted.push_back(pool.submit({.on_progress = std::ref(heard)}, reports_and_waits, board.path()));
        submitted.push_back(pool.submit({.on_progress = std::ref(heard)}, reports_steps, 3));
        auto done = coproc::as_completed(std::move(submitted));
        auto first = co_await done.next();
        REQUIRE(first);
        CHECK(first->ready());
        ++board[0];
        CHECK(co_await first->get() == 3);
        auto second = co_await done.next();
        REQUIRE(second);
        CHECK(co_await second->get() == 1);
    });
}

TEST_CASE("reports of a running task come in order and before its result", "[PRG-004]")
{
    in_loop([]() -> coproc::task<> {
        auto pool = either_pool(GENERATE(false, true));
        hearing heard;
        auto inputs = up_to(20);
        co_await pool.map(reports_steps, inputs, {.chunk_size = 6, .on_progress = std::ref(heard)});
        auto reports = heard.reports();
        REQUIRE(reports.size() == 190);
        std::vector<int> steps(20);
        for (auto& r : reports) {
            REQUIRE(*r.index < 20);
            auto step = ++steps[*r.index];
            CHECK(r.text == "step " + std::to_string(step));
            CHECK(r.fraction == static_cast<double>(step) / static_cast<double>(*r.index));
        }
        CHECK_FALSE(heard.all.back().index); // complete
    });
}

TEST_CASE("a report comes while its task runs", "[PRG-004]")
{
    in_loop([]() -> coproc::task<> {
        board board;
        coproc::pool pool{1};
        auto release = [&](const progress& p) {
            if (p.text == "half")
                ++board[0];
        };
        CHECK(co_await pool.apply({.on_progress = release}, reports_and_waits, board.path()) == 1);
    });
}

TEST_CASE("reports that come too often are left out but for the first and the last", "[PRG-003]")
{
    in_loop([]() -> coproc::task<> {
        auto pool = either_pool(GENERATE(false, true));
        hearing heard;
        auto begin = std::chrono::steady_clock::now();
        CHECK(co_await pool.apply({.on_progress = std::ref(heard)}, reports_often, 100'000) == 100'000);
        auto slots = (std::chrono::steady_clock::now() - begin) / 50ms + 2;
        auto reports = heard.reports();
        REQUIRE(reports.size() >= 2);
        CHECK(reports.size() <= static_cast<std::size_t>(slots));
        CHECK(reports.front().fraction == 1);
        CHECK(reports.back().fraction == 100'000);
        CHECK(heard.all.back().done == 1);
    });
}

TEST_CASE("counts that change too often are told together", "[PRG-003]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        hearing heard;
        auto inputs = up_to(2000);
        auto begin = std::chrono::steady_clock::now();
        co_await pool.map(twice, inputs, {.chunk_size = 1, .on_progress = std::ref(heard)});
        CHECK(heard.all.size() <= static_cast<std::size_t>((std::chrono::steady_clock::now() - begin) / 50ms + 2));
        check_counts(heard, 2000, 2000);
    });
}

TEST_CASE("what a task reported before it threw is told before it is thrown")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        hearing heard;
        CHECK(is<std::runtime_error>(co_await failure_of(pool.apply({.on_progress = std::ref(heard)}, reports_and_throws, 1)), "after that"));
        REQUIRE(heard.all.size() == 2);
        CHECK(heard.all[0].text == "first");
        CHECK(heard.all[1].text == "last");
    });
}

TEST_CASE("coroutines and generators report where a worker runs one at a time; other threads don't")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1}, several{{.workers = 1, .concurrency = 2}};
        hearing heard, items, other, none;
        CHECK(co_await pool.apply({.on_progress = std::ref(heard)}, coroutine_reports, 1) == 1);
        REQUIRE(heard.reports().size() == 1);
        CHECK(heard.reports()[0].text == "coroutine");
        auto stream = pool.apply({.on_progress = std::ref(items)}, generator_reports, 5);
        while (auto item = co_await stream.next())
            ;
        CHECK(items.reports().size() == 5);
        check_counts(items, 1, 1);
        CHECK(co_await pool.apply({.on_progress = std::ref(other)}, from_another_thread, 1) == 1);
        CHECK(other.reports().empty());
        CHECK(co_await several.apply({.on_progress = std::ref(none)}, coroutine_reports, 1) == 1);
        CHECK(none.reports().empty());
        coproc::this_task::report_progress(0.5); // not in a task
    });
}

TEST_CASE("what on_progress throws cancels the call and is thrown by it")
{
    in_loop([]() -> coproc::task<> {
        board board;
        auto pool = either_pool(GENERATE(false, true));
        auto inputs = up_to(100);
        auto objects = [](const progress& p) {
            if (p.done >= 1)
                throw std::domain_error{"enough"};
        };
        CHECK(is<std::domain_error>(co_await failure_of(pool.map(twice, inputs, {.on_progress = objects})), "enough"));
        auto stream = pool.imap(twice, inputs, {.on_progress = objects});
        std::exception_ptr thrown;
        try {
            while (auto item = co_await stream.next())
                ;
        } catch (...) {
            thrown = std::current_exception();
        }
        CHECK(is<std::domain_error>(thrown, "enough"));
        CHECK(co_await pool.apply(twice, 4) == 8);
    });
}

TEST_CASE("reports without a listener cost nothing but themselves, and a flood of them no memory without end")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        CHECK(co_await pool.apply(reports_steps, 5000) == 5000);
        hearing heard;
        auto result = pool.submit({.on_progress = std::ref(heard)}, reports_steps, 5000);
        CHECK(co_await result.wait_for(1min));
        CHECK(co_await result.get() == 5000);
        CHECK(heard.all.size() == 1000);
        CHECK(heard.all.back().done == 1);
        CHECK(heard.all[998].text == "step 5000");
    });
}

TEST_CASE("a progress_callback is trivially copyable, keeps four pointers, and may be empty or a function")
{
    static_assert(std::is_trivially_copyable_v<coproc::call_options>);
    int a = 0, b = 0, c = 0, d = 0;
    coproc::progress_callback empty, keeps = [&](progress p) { a = b = c = d = static_cast<int>(p.done); }, copy = keeps;
    CHECK_FALSE(empty);
    CHECK(copy);
    progress three;
    three.done = 3;
    copy(three);
    CHECK(a + b + c + d == 12);
}
