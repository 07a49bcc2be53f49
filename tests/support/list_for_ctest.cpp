#include "support/list_for_ctest.hpp"

#include "support/slowness.hpp"

#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>

namespace support {
namespace {

// The hang guard ends a test long before; this is for a guard that hangs itself.
constexpr int last_resort_seconds = 120 * slowness;

std::string quoted(const std::string& text) { return "[==[" + text + "]==]"; }

// In a test specification of Catch2 these three mean something; in a name they are letters.
std::string escaped(const std::string& name)
{
    std::string result;
    for (char c : name) {
        if (c == ',' || c == '[' || c == ']' || c == '\\')
            result += '\\';
        result += c;
    }
    return result;
}

} // namespace

int list_for_ctest(const char* program, const char* file, const char* room)
{
    const std::string path = std::filesystem::absolute(program).string();
    std::ofstream list{file, std::ios::trunc};
    for (const auto& test : Catch::getRegistryHub().getTestCaseRegistry().getAllTests()) {
        if (test.isHidden())
            continue;
        std::string labels = room;
        for (const auto& tag : test.tags)
            labels += ';' + tag;
        const std::string name = quoted(std::string{room} + ": " + test.name);
        list << "add_test(" << name << ' ' << quoted(path) << ' ' << quoted(escaped(test.name)) << ")\n"
             << "set_tests_properties(" << name << " PROPERTIES TIMEOUT " << last_resort_seconds << " LABELS " << quoted(labels)
             << ")\n";
    }
    list.close();
    if (!list)
        std::cerr << program << ": cannot write " << file << '\n';
    return list ? 0 : 1;
}

} // namespace support
