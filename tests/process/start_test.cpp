// Starting a process: what runs there, and how it ends.
#include "process/support.hpp"
#include "support/counted.hpp"
#include "support/eventually.hpp"
#include "support/proc.hpp"

#include <coproc/bind_front.hpp>
#include <coproc/error.hpp>
#include <coproc/serialize.hpp>

#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <map>
#include <stdexcept>
#include <vector>

#include <fcntl.h>
#include <sys/wait.h>

using namespace coproc;
using namespace tests;

namespace {

exit_status end_of(process_options options, auto f, auto... arguments)
{
    return await([=]() -> task<exit_status> {
        process p = co_await process::start(options, f, arguments...);
        co_return co_await p.join();
    });
}

struct point {
    int x = 0, y = 0;
    template <class Archive>
    void serialize(Archive& archive)
    {
        archive(x, y);
    }
};

int weigh(const std::string& text, std::vector<double> numbers, std::map<std::string, int> names, point where)
{
    return text == "text" && numbers == std::vector<double>{1.5, -2} && names.at("a") == 1 && where.x == 3 && where.y == 4 ? 77 : 1;
}

struct adder {
    int amount = 0;
    int operator()(int n) const { return n + amount; }
    template <class Archive>
    void serialize(Archive& archive)
    {
        archive(amount);
    }
};

int plus(int a, int b) { return a + b; }

task<int> slowly(int n)
{
    asio::steady_timer timer{co_await asio::this_coro::executor, std::chrono::milliseconds{1}};
    co_await timer.async_wait(asio::use_awaitable);
    co_return n;
}

struct throws_when_read {
    template <class Archive>
    void save(Archive& archive) const
    {
        archive(1);
    }
    template <class Archive>
    void load(Archive&)
    {
        throw std::runtime_error{"no such value today"};
    }
};

} // namespace

TEST_CASE("a process runs a function and its result is the exit code")
{
    EACH_START_METHOD(method);
    CHECK(end_of(by(method), [](int n) { return n; }, 7) == exit_status{7, 0});
    CHECK(end_of(by(method), [] {}) == exit_status{0, 0});
    CHECK(end_of(by(method), slowly, 9) == exit_status{9, 0});
    CHECK(end_of(by(method), adder{30}, 3) == exit_status{33, 0});
    CHECK(end_of(by(method), bind_front(plus, 40), 4) == exit_status{44, 0});
}

TEST_CASE("arguments of any serializable type arrive equal", "[PRC-004]")
{
    EACH_START_METHOD(method);
    const std::vector<double> numbers{1.5, -2};
    const std::map<std::string, int> names{{"a", 1}};
    CHECK(end_of(by(method), weigh, std::string{"text"}, numbers, names, point{3, 4}).code() == 77);
}

TEST_CASE("a call of ten megabytes arrives whole")
{
    EACH_START_METHOD(method);
    const std::string text(10 << 20, 'x');
    auto length = [](const std::string& s) { return s.size() == 10u << 20 && s.find_first_not_of('x') == std::string::npos ? 5 : 1; };
    CHECK(end_of(by(method), length, text).code() == 5);
}

TEST_CASE("a call just around the size that fits into a packet arrives whole")
{
    EACH_START_METHOD(method);
    for (int size = 65536 - 96; size <= 65536 + 8; size += 8)
        REQUIRE(end_of(by(method), [](const std::string& s, int n) { return s == std::string(static_cast<std::size_t>(n), 'x') ? 5 : 1; },
                       std::string(static_cast<std::size_t>(size), 'x'), size)
                    .code() == 5);
}

TEST_CASE("start keeps no copy of an argument", "[PRC-022]")
{
    EACH_START_METHOD(method);
    support::counted::reset();
    await([=]() -> task<> {
        const support::counted value{5};
        process p = co_await process::start(by(method), [](const support::counted& c) { return c.id; }, value);
        CHECK(support::counted::alive == 1);
        const auto end = co_await p.join();
        CHECK(end.code() == 5);
    });
    CHECK(support::counted::alive == 0);
    CHECK(support::counted::constructed == 1);
}

TEST_CASE("every exit code from 0 to 255 reaches the parent", "[PRC-054]")
{
    for (int code = 0; code <= 255; ++code)
        REQUIRE(end_of(by(start_method::forkserver), [](int n) { return n; }, code) == exit_status{code, 0});
}

TEST_CASE("the exit codes at the borders reach the parent", "[PRC-054]")
{
    EACH_START_METHOD(method);
    for (int code : {0, 1, 127, 128, 254, 255})
        CHECK(end_of(by(method), [](int n) { return n; }, code) == exit_status{code, 0});
}

TEST_CASE("an explicit exit gives its code", "[PRC-028]")
{
    EACH_START_METHOD(method);
    CHECK(end_of(by(method), [] { std::exit(3); }) == exit_status{3, 0});
    CHECK(end_of(by(method), [] { std::exit(EXIT_FAILURE); }) == exit_status{1, 0});
    CHECK(end_of(by(method), [] { std::exit(EXIT_SUCCESS); }) == exit_status{0, 0});
    CHECK(end_of(by(method), [] { ::_exit(4); }) == exit_status{4, 0});
    CHECK(end_of(by(method), [] { std::quick_exit(5); }) == exit_status{5, 0});
}

TEST_CASE("an exception that leaves the function is exit code 1, its whole text on standard error", "[PRC-027]")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        auto options = by(method);
        options.standard_error = pipe_stream;
        options.name = "unlucky";
        process p = co_await process::start(options, [] {
            throw std::runtime_error{"first line\nsecond line " + std::string(20000, 'y') + " the end"};
        });
        std::string text;
        for (;;) {
            auto more = co_await p.read_error();
            if (!more)
                break;
            text += *more;
        }
        const auto end = co_await p.join();
        CHECK(end == exit_status{1, 0});
        CHECK_THAT(text, Catch::Contains("unlucky") && Catch::Contains(std::to_string(p.pid())));
        CHECK_THAT(text, Catch::Contains("first line\nsecond line " + std::string(20000, 'y') + " the end\n"));
    });
}

TEST_CASE("an exception of any type is exit code 1")
{
    EACH_START_METHOD(method);
    auto options = by(method);
    options.standard_error = null_stream;
    CHECK(end_of(options, [] { throw 42; }) == exit_status{1, 0});
    CHECK(end_of(options, []() -> task<> {
              throw std::logic_error{"in a coroutine"};
              co_return;
          }) == exit_status{1, 0});
}

TEST_CASE("an argument that can't be rebuilt there ends the process with exit code 1, said on its standard error")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        auto options = by(method);
        options.standard_error = pipe_stream;
        process p = co_await process::start(options, [](const throws_when_read&) {}, throws_when_read{});
        auto text = co_await p.read_error();
        const auto end = co_await p.join();
        CHECK(end.code() != 0);
        CHECK_FALSE(end.unknown());
        REQUIRE(text);
        CHECK_THAT(*text, Catch::Contains("no such value today"));
    });
}

TEST_CASE("a signal that ends the process is told", "[PRC-020][CRA-046]")
{
    EACH_START_METHOD(method);
    const int number = GENERATE(SIGKILL, SIGTERM, SIGABRT, SIGUSR2);
    const auto end = end_of(by(method), [](int n) { std::signal(n, SIG_DFL); ::raise(n); }, number);
    CHECK(end == exit_status{-1, number});
    CHECK_FALSE(end.ok());
    CHECK_FALSE(end.unknown());
}

TEST_CASE("a process that closes its standard streams ends as it returns", "[PRC-026]")
{
    EACH_START_METHOD(method);
    CHECK(end_of(by(method), [] {
              std::cout << "never seen";
              std::printf("nor this");
              for (int number : {0, 1, 2})
                  ::close(number);
          }) == exit_status{0, 0});
}

TEST_CASE("what a process printed is flushed when it ends, and once", "[CTX-024]")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        std::printf(" "); // something of the parent's is not flushed yet
        std::cout << "" << std::flush;
        process p = co_await process::start(piped(method), [] {
            std::printf("printed ");
            std::cout << "streamed";
        });
        const auto text = co_await all_output(p);
        static_cast<void>(co_await p.join());
        CHECK((text == "printed streamed" || text == "streamedprinted "));
    });
}

TEST_CASE("static objects of the program are not destroyed by its processes")
{
    struct loud {
        bool listening = false;
        ~loud()
        {
            if (listening)
                ::_exit(66);
        }
    };
    static loud object;
    EACH_START_METHOD(method);
    const auto body = [] {
        object.listening = true;
        return 7;
    };
    CHECK(end_of(by(method), body).code() == 7);
}

TEST_CASE("parent and child agree on name and pid, and the child is active until it was joined", "[PRC-003][PRC-065]")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        auto options = piped(method);
        options.name = "agreeable";
        options.standard_input = pipe_stream;
        process p = co_await process::start(options, [] {
            say(this_process::name() + " " + std::to_string(this_process::pid()) + " " + std::to_string(::getpid()));
            static_cast<void>(::getchar());
        });
        const auto line = co_await line_of(p);
        CHECK(p.name() == "agreeable");
        CHECK(line == "agreeable " + std::to_string(p.pid()) + " " + std::to_string(p.pid()));
        CHECK(p.method() == method);
        CHECK(p.running());
        CHECK_FALSE(p.exit_status());
        REQUIRE(active_children().size() == 1);
        CHECK(active_children()[0].name == "agreeable");
        CHECK(active_children()[0].pid == p.pid());
        CHECK(support::name_of(p.pid()) == "agreeable");
        p.close_input();
        const auto end = co_await p.join();
        CHECK(end.ok());
        CHECK_FALSE(p.running());
        CHECK(p.exit_status() == end);
        CHECK(p.pid() > 0); // still readable
        CHECK(active_children().empty());
    });
}

TEST_CASE("a process without a name gets one of its own")
{
    await([]() -> task<> {
        process a = co_await process::start([] {});
        process b = co_await process::start([] {});
        CHECK_THAT(a.name(), Catch::StartsWith("process-"));
        CHECK(a.name() != b.name());
        static_cast<void>(co_await a.join());
        static_cast<void>(co_await b.join());
    });
}

TEST_CASE("an empty handle says so instead of waiting", "[PRC-002][PRC-014][PRC-065]")
{
    process p;
    CHECK_FALSE(p.valid());
    CHECK_THROWS_AS(p.pid(), usage_error);
    CHECK_THROWS_AS(p.running(), usage_error);
    CHECK_THROWS_AS(p.exit_status(), usage_error);
    CHECK_THROWS_AS(p.native_handle(), usage_error);
    CHECK_THROWS_AS(p.join(), usage_error);
    CHECK_THROWS_AS(p.stop(), usage_error);
    CHECK_THROWS_AS(p.terminate(), usage_error);
    CHECK_THROWS_AS(p.detach(), usage_error);
    CHECK_THROWS_AS(p.read_output(), usage_error);
    CHECK(active_children().empty());
}

TEST_CASE("a moved handle carries the process, and an assigned one drops its own")
{
    await([]() -> task<> {
        process a = co_await process::start(wait_for_the_end);
        const int first = a.pid();
        process b = std::move(a);
        CHECK_FALSE(a.valid());
        CHECK(b.pid() == first);
        a = co_await process::start(wait_for_the_end);
        const int second = a.pid();
        a = std::move(b);
        CHECK(support::has_ended(second));
        CHECK(a.pid() == first);
        CHECK(a.running());
    });
}

TEST_CASE("a handle that is dropped kills its process and reaps it", "[PRC-040][PRC-058]")
{
    EACH_START_METHOD(method);
    int pid = 0;
    await([&]() -> task<> {
        process p = co_await process::start(by(method), wait_for_the_end);
        pid = p.pid();
    });
    CHECK(support::state_of(pid) == '\0');
}

TEST_CASE("a handle that is dropped after its process ended reaps it", "[PRC-040]")
{
    EACH_START_METHOD(method);
    int pid = 0;
    await([&]() -> task<> {
        process p = co_await process::start(by(method), [] {});
        pid = p.pid();
        CHECK(support::eventually([&] { return support::has_ended(pid); }));
    });
    CHECK(support::state_of(pid) == '\0');
}

TEST_CASE("a hundred processes at once each report their own end, returned or terminated right after their start", "[PRC-021][PRC-051]")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        std::vector<process> all;
        for (int i = 0; i < 100; ++i) {
            if (i % 3 == 2) {
                all.push_back(co_await process::start(by(method), wait_for_the_end));
                all.back().kill();
            } else if (i % 3 == 1)
                all.push_back(co_await process::start(by(method), slowly, i));
            else
                all.push_back(co_await process::start(by(method), [](int n) { return n; }, i));
        }
        for (int i = 0; i < 100; ++i) {
            const auto end = co_await all[static_cast<std::size_t>(i)].join();
            CHECK(end == (i % 3 == 2 ? exit_status{-1, SIGKILL} : exit_status{i, 0}));
        }
        CHECK(active_children().empty());
    });
}

TEST_CASE("a process that is killed at once after its start shows the end of its output, no hang", "[PRC-057]")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        process p = co_await process::start(piped(method), wait_for_the_end);
        p.kill();
        const auto text = co_await all_output(p);
        CHECK(text.empty());
        const auto end = co_await p.join();
        CHECK(end == exit_status{-1, SIGKILL});
    });
}
