// Name, environment and directory of a process; start methods as a setting.
#include "process/launch.hpp"
#include "process/support.hpp"
#include "support/temporary_folder.hpp"

#include <coproc/error.hpp>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <system_error>
#include <vector>

#include <unistd.h>

using namespace coproc;
using namespace tests;

namespace {

// Sets the start method back to what it is by default.
struct method_restored {
    ~method_restored() { set_start_method(start_method::forkserver, force::yes); }
};

void say_environment()
{
    for (char** variable = environ; variable && *variable; ++variable)
        say(*variable);
}

std::vector<std::string> lines(const std::string& text)
{
    std::istringstream in{text};
    std::vector<std::string> result;
    for (std::string line; std::getline(in, line);)
        result.push_back(line);
    std::sort(result.begin(), result.end());
    return result;
}

void say_variable(const std::string& name)
{
    const char* value = std::getenv(name.c_str());
    say(value ? value : "(none)");
}

void say_directory() { say(std::filesystem::current_path()); }

std::string said_by(const process_options& options, auto f, auto... arguments)
{
    return await([=]() -> task<std::string> {
        process p = co_await process::start(options, f, arguments...);
        auto text = co_await all_output(p);
        static_cast<void>(co_await p.join());
        co_return text;
    });
}

} // namespace

TEST_CASE("with a cleared environment and two variables a process sees exactly these two", "[PRC-066]")
{
    EACH_START_METHOD(method);
    const environment_variable two[] = {{"FIRST", "1"}, {"SECOND", "two words"}};
    auto options = piped(method);
    options.clear_environment = true;
    options.environment = two;
    CHECK(lines(said_by(options, say_environment)) == std::vector<std::string>{"FIRST=1", "SECOND=two words"});
}

TEST_CASE("changes of the environment are made in order, and the rest is the parent's")
{
    EACH_START_METHOD(method);
    ::setenv("COPROC_TEST_KEPT", "kept", 1);
    ::setenv("COPROC_TEST_GONE", "gone", 1);
    const environment_variable changes[] = {
        {"COPROC_TEST_GONE", std::nullopt}, {"COPROC_TEST_NEW", "first"}, {"COPROC_TEST_NEW", "last"}, {"COPROC_TEST_EMPTY", ""}};
    auto options = piped(method);
    options.environment = changes;
    CHECK(said_by(options, say_variable, std::string{"COPROC_TEST_KEPT"}) == "kept\n");
    CHECK(said_by(options, say_variable, std::string{"COPROC_TEST_GONE"}) == "(none)\n");
    CHECK(said_by(options, say_variable, std::string{"COPROC_TEST_NEW"}) == "last\n");
    CHECK(said_by(options, say_variable, std::string{"COPROC_TEST_EMPTY"}) == "\n");
    CHECK(std::getenv("COPROC_TEST_NEW") == nullptr); // here nothing changed
    ::unsetenv("COPROC_TEST_KEPT");
    ::unsetenv("COPROC_TEST_GONE");
}

TEST_CASE("a process sees the environment that its parent has when it is started")
{
    EACH_START_METHOD(method);
    ::unsetenv("COPROC_TEST_LATE");
    CHECK(said_by(piped(method), say_variable, std::string{"COPROC_TEST_LATE"}) == "(none)\n");
    ::setenv("COPROC_TEST_LATE", "set after the fork server was started", 1);
    CHECK(said_by(piped(method), say_variable, std::string{"COPROC_TEST_LATE"}) == "set after the fork server was started\n");
    ::unsetenv("COPROC_TEST_LATE");
    CHECK(said_by(piped(method), say_variable, std::string{"COPROC_TEST_LATE"}) == "(none)\n");
}

TEST_CASE("the variable by which a new execution knows what it is does not reach the user's code")
{
    EACH_START_METHOD(method);
    CHECK(said_by(piped(method), say_variable, std::string{"COPROC_ROLE"}) == "(none)\n");
}

TEST_CASE("a process inherits what its grandparent set, by whatever methods", "[CTX-011]")
{
    EACH_START_METHOD(method);
    const auto inner = GENERATE(start_method::forkserver, start_method::spawn, start_method::fork);
    const environment_variable flag[] = {{"COPROC_TEST_FLAG", "for all"}};
    auto options = piped(method);
    options.environment = flag;
    CHECK(said_by(
              options,
              [](int by_method) -> task<> {
                  process child = co_await process::start(by(static_cast<start_method>(by_method)), say_variable, std::string{"COPROC_TEST_FLAG"});
                  static_cast<void>(co_await child.join());
              },
              static_cast<int>(inner))
          == "for all\n");
}

TEST_CASE("name and environment may take 96 KiB, whatever the size of the call beside them")
{
    EACH_START_METHOD(method);
    const auto size_of_call = GENERATE(0u, 1000u, 60000u, 100000u);
    CAPTURE(size_of_call);
    const std::string value(detail::max_orders - 1000, 'v'); // the rest is for what changed in this process's environment
    const environment_variable large[] = {{"COPROC_TEST_LARGE", value}};
    auto options = by(method);
    options.environment = large;
    await([&]() -> task<> {
        process p = co_await process::start(options, [](const std::string& argument) {
            const char* found = std::getenv("COPROC_TEST_LARGE");
            return found && std::strlen(found) == detail::max_orders - 1000 ? static_cast<int>(argument.size() % 251) : 255;
        }, std::string(size_of_call, 'a'));
        const auto end = co_await p.join();
        CHECK(end.code() == static_cast<int>(size_of_call % 251));
    });
}

TEST_CASE("an environment that is too large is refused, and the error says how much is not")
{
    EACH_START_METHOD(method);
    const std::string value(detail::max_orders, 'v');
    const environment_variable large[] = {{"COPROC_TEST_LARGE", value}};
    auto options = by(method);
    options.environment = large;
    try {
        await([&]() -> task<> { static_cast<void>(co_await process::start(options, [] {})); });
        FAIL("it was started");
    } catch (const usage_error& e) {
        CHECK_THAT(e.what(), Catch::Contains("96 KiB"));
    }
}

TEST_CASE("a process runs in its working directory")
{
    EACH_START_METHOD(method);
    const support::temporary_folder folder;
    const std::string path = std::filesystem::canonical(folder.path());
    auto options = piped(method);
    options.working_directory = path;
    const auto before = std::filesystem::current_path();
    CHECK(said_by(options, say_directory) == path + "\n");
    CHECK(std::filesystem::current_path() == before);
}

TEST_CASE("without one it runs in the directory that its parent is in when it is started")
{
    EACH_START_METHOD(method);
    const auto before = std::filesystem::current_path();
    CHECK(said_by(piped(method), say_directory) == before.string() + "\n");
    const support::temporary_folder folder;
    const auto path = std::filesystem::canonical(folder.path());
    std::filesystem::current_path(path);
    CHECK(said_by(piped(method), say_directory) == path.string() + "\n");
    std::filesystem::current_path(before);
}

TEST_CASE("a working directory that does not exist is named by the error, and nothing is left", "[PRC-032]")
{
    EACH_START_METHOD(method);
    auto options = piped(method);
    options.working_directory = "/no/such/directory";
    try {
        await([=]() -> task<> { static_cast<void>(co_await process::start(options, [] {})); });
        FAIL("it was started");
    } catch (const std::system_error& e) {
        CHECK(e.code() == std::errc::no_such_file_or_directory);
        CHECK_THAT(e.what(), Catch::Contains("/no/such/directory"));
    }
    CHECK(active_children().empty());
}

TEST_CASE("a working directory that is a file is named by the error")
{
    auto options = by(start_method::forkserver);
    options.working_directory = "/dev/null";
    CHECK_THROWS_WITH(await([=]() -> task<> { static_cast<void>(co_await process::start(options, [] {})); }),
                      Catch::Contains("/dev/null"));
}

TEST_CASE("names of start methods are read and written, and an unknown one is refused by name", "[CTX-002]")
{
    for (auto method : {start_method::forkserver, start_method::spawn, start_method::fork})
        CHECK(parse_start_method(to_string(method)) == method);
    for (const char* wrong : {"", "Fork", "threads", "fork "})
        CHECK_THROWS_WITH(parse_start_method(wrong), Catch::Contains("'" + std::string{wrong} + "'"));
    CHECK_THROWS_AS(parse_start_method("threads"), usage_error);
}

TEST_CASE("the start method is the fork server unless it is set", "[CTX-003]")
{
    CHECK(get_start_method() == start_method::forkserver);
    CHECK(await([]() -> task<start_method> {
              process p = co_await process::start([] {});
              static_cast<void>(co_await p.join());
              co_return p.method();
          })
          == start_method::forkserver);
}

TEST_CASE("a start method that is set is followed by processes and by theirs", "[CTX-003]")
{
    EACH_START_METHOD(method);
    const method_restored restore;
    set_start_method(method, force::yes);
    CHECK(get_start_method() == method);
    await([=]() -> task<> {
        process p = co_await process::start([] { return static_cast<int>(get_start_method()); });
        const auto end = co_await p.join();
        CHECK(p.method() == method);
        CHECK(end.code() == static_cast<int>(method));
    });
}

TEST_CASE("a start method that was used can't be set again unless forced", "[CTX-004]")
{
    const method_restored restore;
    await([]() -> task<> {
        process p = co_await process::start([] {});
        static_cast<void>(co_await p.join());
    });
    CHECK_THROWS_AS(set_start_method(start_method::spawn), usage_error);
    CHECK(get_start_method() == start_method::forkserver);
    CHECK_NOTHROW(set_start_method(start_method::spawn, force::yes));
    CHECK(get_start_method() == start_method::spawn);
    CHECK_THROWS_AS(set_start_method(start_method::spawn), usage_error);
}

TEST_CASE("a new process may set its own start method once", "[CTX-004]")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        process p = co_await process::start(by(method), [] {
            set_start_method(start_method::spawn);
            try {
                set_start_method(start_method::fork);
            } catch (const usage_error&) {
                return get_start_method() == start_method::spawn ? 4 : 3;
            }
            return 2;
        });
        const auto end = co_await p.join();
        CHECK(end.code() == 4);
    });
}

TEST_CASE("a context starts by its method, whatever the program's is", "[CTX-003]")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        const context part{method};
        CHECK(part.method() == method);
        process p = co_await part.start([](int n) { return n; }, 3);
        const auto end = co_await p.join();
        CHECK(p.method() == method);
        CHECK(end.code() == 3);
        auto options = by(start_method::forkserver);
        options.name = "of a context";
        process q = co_await part.start(options, [] {});
        static_cast<void>(co_await q.join());
        CHECK(q.method() == method);
        CHECK(q.name() == "of a context");
    });
    CHECK(get_start_method() == start_method::forkserver);
}
