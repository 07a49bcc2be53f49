// Whole programs: their exit codes, their ends, and what is left of them. Nothing is.
#include "process/terminal.hpp"
#include "support/eventually.hpp"
#include "support/hang_guard.hpp"
#include "support/proc.hpp"
#include "support/program.hpp"
#include "support/temporary_folder.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

using support::program;
using support::run_program;
using support::twin;

namespace {

// The pids of lines "process N".
std::vector<pid_t> pids_in(const std::vector<std::string>& lines)
{
    std::vector<pid_t> result;
    for (const auto& line : lines)
        if (line.rfind("process ", 0) == 0)
            result.push_back(static_cast<pid_t>(std::atoi(line.c_str() + 8)));
    return result;
}

std::vector<pid_t> read_pids(program& p, std::size_t count)
{
    std::vector<std::string> lines;
    while (pids_in(lines).size() < count) {
        auto line = p.read_line();
        if (!line)
            break;
        lines.push_back(*line);
    }
    return pids_in(lines);
}

std::vector<pid_t> still_there(const std::vector<pid_t>& pids)
{
    std::vector<pid_t> result;
    std::copy_if(pids.begin(), pids.end(), std::back_inserter(result), [](pid_t pid) { return !support::has_ended(pid); });
    return result;
}

bool all_gone(const std::vector<pid_t>& pids)
{
    return support::eventually([&] { return still_there(pids).empty(); });
}

// What the twin "outcome" says before it waits: three processes, three that have one of their own, those three.
constexpr std::size_t family_size = 9;

} // namespace

TEST_CASE("main's result is the exit code")
{
    CHECK(run_program(twin("outcome"), {"nothing"}).exit_code == 0);
    CHECK(run_program(twin("outcome"), {"seven"}).exit_code == 7);
    CHECK(run_program(twin("outcome"), {"exits"}).exit_code == 9);
}

TEST_CASE("main gets the program's arguments")
{
    const auto result = run_program(twin("outcome"), {"arguments", "two words", ""});
    CHECK(result.exit_code == 0);
    CHECK(result.out == twin("outcome") + "\narguments\ntwo words\n\n");
}

TEST_CASE("an exception that leaves main is exit code 1 and is said on standard error")
{
    const auto result = run_program(twin("outcome"), {"throws"});
    CHECK(result.exit_code == 1);
    CHECK_THAT(result.err, Catch::Contains("out of luck"));
    const auto other = run_program(twin("outcome"), {"throws-int"});
    CHECK(other.exit_code == 1);
    CHECK_THAT(other.err, Catch::Contains("not derived from std::exception"));
}

TEST_CASE("when main is done, in whatever way, its processes are ended")
{
    const auto [how, code] = GENERATE(table<std::string, int>(
        {{"returns", 0}, {"forgets-family", 0}, {"exits-with-family", 255}, {"leaves-with-family", 255}}));
    INFO(how);
    program p{twin("outcome"), {how}};
    const auto family = read_pids(p, family_size);
    const auto result = p.wait();
    CHECK(result.exit_code == code);
    CHECK(result.err.empty());
    REQUIRE(family.size() == family_size);
    CHECK(all_gone(family));
}

TEST_CASE("SIGTERM and SIGINT cancel main, stop everything, and the exit code is 143 or 130")
{
    const auto [number, code] = GENERATE(table<int, int>({{SIGTERM, 143}, {SIGINT, 130}}));
    const std::string how = GENERATE(as<std::string>{}, "waits", "joins", "catches");
    INFO(how << " signal " << number);
    program p{twin("outcome"), {how}};
    const auto family = read_pids(p, family_size);
    REQUIRE(family.size() == family_size);
    REQUIRE(p.read_line() == "ready");
    p.kill(number);
    const auto result = p.wait();
    CHECK(result.exit_code == code);
    CHECK(result.err.empty());
    CHECK_THAT(result.out, Catch::EndsWith(how == "catches" ? "ready\ncancelled\n" : "ready\n"));
    CHECK(all_gone(family));
}

TEST_CASE("a signal that comes while main is ending is the exit code all the same")
{
    CHECK(run_program(twin("outcome"), {"late-signal"}).exit_code == 143);
}

TEST_CASE("SIGTERM to the whole group of a program stops it in order too")
{
    program p{twin("outcome"), {"waits"}};
    const auto family = read_pids(p, family_size);
    REQUIRE(p.read_line() == "ready");
    p.kill_group(SIGTERM);
    CHECK(p.wait().exit_code == 143);
    CHECK(all_gone(family));
}

TEST_CASE("a handler that the program set before is left alone")
{
    program p{twin("outcome"), {"own-handler"}};
    const auto family = read_pids(p, family_size);
    REQUIRE(p.read_line() == "ready");
    p.kill(SIGTERM);
    CHECK(p.wait().exit_code == 44);
    CHECK(all_gone(family));
}

TEST_CASE("Ctrl-C at a terminal is one orderly stop: exit code 130, nobody else says a word, nothing is left")
{
    tests::terminal_program p{twin("outcome"), {"waits"}};
    REQUIRE(p.read_until("ready"));
    const auto family = pids_in(p.lines);
    REQUIRE(family.size() == family_size);
    const auto lines = p.lines.size();
    p.type("\x03");
    const int status = p.wait();
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 130);
    CHECK(p.lines.size() == lines);
    CHECK(all_gone(family));
}

TEST_CASE("a Ctrl-C ends main alone: its processes are there until main is done with them")
{
    tests::terminal_program p{twin("outcome"), {"catches"}};
    REQUIRE(p.read_until("ready"));
    const auto family = pids_in(p.lines);
    p.type("\x03");
    const int status = p.wait();
    CHECK(WEXITSTATUS(status) == 130);
    CHECK(p.lines.back() == "cancelled");
    CHECK(all_gone(family));
}

TEST_CASE("a second Ctrl-C ends at once a program whose main goes on, and its processes with it")
{
    tests::terminal_program p{twin("outcome"), {"stubborn"}};
    REQUIRE(p.read_until("ready"));
    const auto family = pids_in(p.lines);
    REQUIRE(family.size() == family_size);
    p.type("\x03");
    REQUIRE(p.read_until("interrupted once"));
    CHECK(still_there(family) == family);
    p.type("\x03");
    const int status = p.wait();
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGINT);
    CHECK(all_gone(family));
}

TEST_CASE("Ctrl-C twice ends a program that blocks its own loop")
{
    tests::terminal_program p{twin("outcome"), {"blocks"}};
    REQUIRE(p.read_until("ready"));
    const auto family = pids_in(p.lines);
    // Two that arrive together are one signal for the kernel.
    CHECK(support::eventually([&] {
        p.type("\x03");
        return still_there(family).empty();
    }));
    const int status = p.wait();
    CHECK(WIFSIGNALED(status));
    CHECK(all_gone(family));
}

TEST_CASE("when a program is killed, nothing of it is left, though all of it computes with signals blocked", "[PRC-008][CRA-017]")
{
    program p{twin("busy_family")};
    // 3 processes, 3 with 3 children and a fork server each, and the fork server.
    const auto family = read_pids(p, 3 + 3 * (1 + 3 + 1) + 1);
    REQUIRE(family.size() == 19);
    REQUIRE(still_there(family) == family);
    p.kill(SIGKILL);
    CHECK(all_gone(family));
    CHECK(p.wait().signal == SIGKILL);
}

TEST_CASE("when a program is killed while it starts processes, nothing of it is left", "[CRA-017]")
{
    support::time_limit limit{std::chrono::seconds{75}};
    for (std::size_t count = 0; count < 19; ++count) {
        program p{twin("busy_family")};
        const auto family = read_pids(p, count);
        const auto all = support::descendants(p.pid());
        p.kill(SIGKILL);
        CHECK(all_gone(all));
        CHECK(p.wait().signal == SIGKILL); // and nobody holds its output open, known or not
    }
}

TEST_CASE("when a middle process is killed, its children and its fork server end, the others go on", "[PRC-008]")
{
    program p{twin("busy_family")};
    const auto family = read_pids(p, 19);
    REQUIRE(family.size() == 19);
    std::vector<pid_t> middle;
    for (pid_t child : support::children_of(p.pid()))
        if (!support::children_of(child).empty())
            middle.push_back(child);
    REQUIRE(middle.size() == 3);
    for (pid_t one : middle) {
        const auto below = support::descendants(one);
        CHECK(below.size() == 4);
        support::kill_now(one);
        CHECK(all_gone(below));
    }
    CHECK(still_there(family).size() == 4);
}

TEST_CASE("a program that ends before coproc::run when it is started again: an error says so, with its exit code", "[LIM-003][CRA-031]")
{
    const std::string method = GENERATE(as<std::string>{}, "forkserver", "spawn");
    const auto result = run_program(twin("never_comes"), {method});
    CHECK(result.exit_code == 0);
    CHECK_THAT(result.out, Catch::Contains("exit code 3") && Catch::Contains("coproc::run"));
    CHECK_FALSE(result.timed_out);
}

TEST_CASE("a program that dies before coproc::run when it is started again: an error says of which signal", "[CRA-031]")
{
    const std::string method = GENERATE(as<std::string>{}, "forkserver", "spawn");
    const auto result = run_program(twin("never_comes"), {method, "crashes"});
    CHECK(result.exit_code == 0);
    CHECK_THAT(result.out, Catch::Contains("signal 6"));
}

TEST_CASE("a program that starts processes before coproc::run gets an error, not a chain of programs", "[LIM-003]")
{
    const auto result = run_program(twin("too_early"));
    CHECK(result.exit_code == 12);
    CHECK(result.out.find("before coproc::run") != result.out.rfind("before coproc::run")); // both attempts
}

TEST_CASE("the variable for new executions set by hand is told from a start by coproc")
{
    ::setenv("COPROC_ROLE", "process", 1);
    const auto result = run_program(twin("outcome"), {"seven"});
    ::unsetenv("COPROC_ROLE");
    CHECK(result.exit_code == 70);
    CHECK_THAT(result.err, Catch::Contains("COPROC_ROLE"));
}

TEST_CASE("preloads run once, in the fork server, and what they print appears once", "[CTX-009][CTX-010]")
{
    const auto result = run_program(twin("preloading"), {"3"});
    CHECK(result.exit_code == 0);
    // Printed and streamed in whichever order the two buffers are flushed.
    CHECK_THAT(result.out, Catch::EndsWith("11 0;11 0;11 0; main 0\n") || Catch::EndsWith("11 1;11 1;11 1; main 0\n"));
    for (const std::string text : {"printed by preload", "streamed by preload"}) {
        CHECK(result.out.find(text) != std::string::npos);
        CHECK(result.out.find(text) == result.out.rfind(text));
    }
}

TEST_CASE("preloads don't run without a process", "[CTX-009]")
{
    CHECK(run_program(twin("preloading"), {"0"}).out == " main 0\n");
}

TEST_CASE("a preload that fails is an error of the first start, no hang", "[CTX-009][CRA-031]")
{
    const auto result = run_program(twin("preloading"), {"1", "throws"});
    CHECK(result.exit_code == 0);
    CHECK_THAT(result.out, Catch::Contains("signal 6"));
    CHECK_THAT(result.err, Catch::Contains("preload failed"));
}

TEST_CASE("a program whose file is deleted, moved or replaced while it runs starts what it was", "[CTX-019]")
{
    const std::string what = GENERATE(as<std::string>{}, "deleted", "moved", "replaced");
    INFO(what);
    const support::temporary_folder folder;
    const auto copy = folder.path() / "copy";
    std::filesystem::copy_file(twin("replaced"), copy);
    const auto result = run_program(copy, {what});
    CHECK(result.err.empty());
    CHECK(result.exit_code == 0);
    CHECK(result.out == "21\n21\n21\n");
}

TEST_CASE("a program without standard streams starts processes whose pipes lead to the right places", "[PRC-041]")
{
    CHECK(run_program(twin("closed_streams")).exit_code == 0);
}

TEST_CASE("a program with its own loop and signal handlers uses init", "[SIG-022]")
{
    const auto result = run_program(twin("own_loop"));
    CHECK(result.exit_code == 0);
    CHECK(result.out == "33 1\n");
}
