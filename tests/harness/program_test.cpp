#include "support/eventually.hpp"
#include "support/proc.hpp"
#include "support/program.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <string>
#include <system_error>

using namespace std::chrono_literals;
using support::program;
using support::run_program;

TEST_CASE("run_program gives input and gathers exit code, output and errors")
{
    const auto result = run_program("/bin/sh", {"-c", "read line; echo \"got $line\"; echo oops >&2; exit 7"}, "hello\n");
    CHECK(result.exit_code == 7);
    CHECK(result.signal == 0);
    CHECK(result.out == "got hello\n");
    CHECK(result.err == "oops\n");
}

TEST_CASE("run_program takes more output than a pipe holds")
{
    const auto result = run_program("/bin/sh", {"-c", "head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2"});
    CHECK(result.out.size() == 1'000'000);
    CHECK(result.err.size() == 1'000'000);
}

TEST_CASE("run_program kills a program that passes its limit, with its children")
{
    const auto result = run_program("/bin/sh", {"-c", "sleep 1000 & sleep 1000"}, {}, 200ms);
    CHECK(result.timed_out);
    CHECK(result.signal == SIGKILL);
}

TEST_CASE("a program that does not exist is an error of its start")
{
    CHECK_THROWS_AS(program("/does/not/exist"), std::system_error);
}

TEST_CASE("a program can be talked to line by line, and killed in the middle")
{
    program cat{"/bin/cat"};
    cat.write("one\ntwo\n");
    CHECK(cat.read_line() == "one");
    CHECK(cat.read_line() == "two");
    CHECK(cat.read_line(20ms) == std::nullopt);
    CHECK(support::name_of(cat.pid()) == "cat");
    CHECK(support::open_descriptors(cat.pid()).size() == 3);
    support::kill_now(cat.pid());
    CHECK(support::eventually([&] { return support::has_ended(cat.pid()); }));
    CHECK(cat.wait().signal == SIGKILL);
}

TEST_CASE("the destructor of a program ends it")
{
    pid_t process = 0;
    {
        program cat{"/bin/cat"};
        process = cat.pid();
        CHECK(support::state_of(process) != '\0');
    }
    CHECK(support::state_of(process) == '\0');
}

TEST_CASE("descendants are the children's children too")
{
    program shell{"/bin/sh", {"-c", "sh -c 'sleep 1000; :' & echo ready; wait"}};
    CHECK(shell.read_line() == "ready");
    CHECK(support::eventually([&] { return support::descendants(shell.pid()).size() == 2; }));
    CHECK(support::children_of(shell.pid()).size() == 1);
}
