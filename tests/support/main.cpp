// The main of every test program. A process that coproc started from it ends inside coproc::init; it needs no guard, as it
// has one among its ancestors.
#define CATCH_CONFIG_RUNNER
// Signals do what they do in a user's program, also in children by fork, and the sanitizers see them first; the guard
// names the test case that died.
#define CATCH_CONFIG_NO_POSIX_SIGNALS
#include <catch2/catch.hpp>

#include <coproc/run.hpp>

#include "support/hang_guard.hpp"
#include "support/leak_check.hpp"
#include "support/list_for_ctest.hpp"

#include <string_view>

int main(int argc, char** argv)
{
    if (argc == 4 && std::string_view{argv[1]} == "--list-for-ctest")
        return support::list_for_ctest(argv[0], argv[2], argv[3]);

    support::guard_this_program();
    coproc::init(argc, argv);
    const int failures = Catch::Session().run(argc, argv);
    return failures == 0 && support::leaks_found() > 0 ? 1 : failures;
}
