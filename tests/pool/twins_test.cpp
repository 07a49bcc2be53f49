// Pools in programs of their own.
#include "support/eventually.hpp"
#include "support/proc.hpp"
#include "support/program.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <string>
#include <vector>

using namespace support;

TEST_CASE("pools in workers of a pool are gone when the program is killed", "[CRA-017][SHD-009][NST-004]")
{
    program tree{twin("pool_tree")};
    std::vector<pid_t> workers;
    while (workers.size() < 6) { // two, and two below each
        auto line = tree.read_line(std::chrono::seconds{30});
        REQUIRE(line);
        REQUIRE(line->starts_with("worker "));
        workers.push_back(std::stoi(line->substr(7)));
    }
    tree.kill(SIGKILL);
    for (pid_t worker : workers)
        CHECK(eventually([&] { return has_ended(worker); }, std::chrono::seconds{10}));
}

TEST_CASE("pools in workers of a pool are gone when the program is asked to end")
{
    program tree{twin("pool_tree")};
    std::vector<pid_t> workers;
    while (workers.size() < 6) {
        auto line = tree.read_line(std::chrono::seconds{30});
        REQUIRE(line);
        workers.push_back(std::stoi(line->substr(7)));
    }
    tree.kill(SIGTERM); // an orderly end
    for (pid_t worker : workers)
        CHECK(eventually([&] { return has_ended(worker); }, std::chrono::seconds{10}));
    CHECK(tree.wait().exit_code == 143);
}

TEST_CASE("what a task prints is out before its result is, even if its worker dies next")
{
    auto result = run_program(twin("pool_prints"));
    CHECK(result.exit_code == 0);
    for (int i = 0; i < 20; ++i) {
        CHECK(result.out.find("printf " + std::to_string(i) + " ") != std::string::npos);
        CHECK(result.out.find("cout " + std::to_string(i) + " ") != std::string::npos);
        CHECK(result.err.find("stderr " + std::to_string(i) + "\n") != std::string::npos);
    }
}

TEST_CASE("with few descriptors a pool works or says why not, and later ones work", "[POOL-024]")
{
    auto result = run_program(twin("pool_few_descriptors"), {}, {}, std::chrono::seconds{50});
    INFO(result.err);
    CHECK(result.exit_code == 0);
    CHECK(result.out == "some worked, some were refused, 42\n");
}
