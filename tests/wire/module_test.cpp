#include <catch2/catch.hpp>

#include <coproc/error.hpp>

#include "os/elf_file.hpp"
#include "os/module.hpp"
#include "wire/call_here.hpp"
#include "wire/symbol_name.hpp"

#include <list>
#include <memory>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <vector>

using namespace coproc::detail;

namespace {

[[gnu::noinline]] int some_function(int n)
{
    for (int i = 0; i < n; ++i)
        asm volatile("");
    return n;
}

const auto* start = reinterpret_cast<const std::byte*>(&some_function);

} // namespace

TEST_CASE("an address of the program is in the program's module")
{
    const auto home = find_module(start);
    REQUIRE(home);
    CHECK(home->path == "/proc/self/exe");
    CHECK(home->at_start);
    CHECK(home->build_id() != 0);
    CHECK(find_module(home->build_id()) == home);
    CHECK(build_id_of_file("/proc/self/exe") == home->build_id());
    CHECK(find_module(nullptr) == nullptr);
}

TEST_CASE("only the first byte of a function is its start")
{
    const auto home = find_module(start);
    CHECK(is_function_start(*home, start));
    for (int inside = 1; inside < 8; ++inside)
        CHECK_FALSE(is_function_start(*home, start + inside));
    static int data = 0;
    CHECK_FALSE(is_function_start(*home, &data));
}

TEST_CASE("a pointer into a function is refused by its sender")
{
    const auto middle = reinterpret_cast<int (*)(int)>(reinterpret_cast<std::uintptr_t>(start) + 1);
    CHECK_THROWS_WITH(wire_test::message_of(middle, 1), Catch::Contains("lambda"));
}

TEST_CASE("a damaged file has no symbols and no build id")
{
    CHECK(build_id_of_file("/dev/null") == 0);
    CHECK(build_id_of_file("/no/such/file") == 0);
    CHECK(elf_symbols{"/dev/zero"}.name_at(1).empty());
    CHECK(load_module("/no/such/file", 5) == nullptr);
}

TEST_CASE("names are cut to what a reader looks for")
{
    CHECK(without_parameters("square(int)") == "square");
    CHECK(without_parameters("int ns::f<std::pair<int, int> >(std::vector<int>)") == "ns::f<std::pair<int, int> >");
    CHECK(without_parameters("(anonymous namespace)::f(int)") == "(anonymous namespace)::f");
    CHECK(without_parameters("fetch(fetch(int)::_Z5fetchi.Frame*) [clone .actor]") == "fetch");
    CHECK(without_parameters("main::{lambda(int)#1}::operator()(int) const") == "main::{lambda(int)#1}::operator()(int) const");
    CHECK(demangle("i") == "int");
}

TEST_CASE("types are named as one writes them")
{
    const auto name = []<class T>(std::type_identity<T>) { return readable_type(typeid(T).name()); };
    CHECK(name(std::type_identity<std::string>{}) == "std::string");
    CHECK(name(std::type_identity<std::vector<std::vector<std::string>>>{}) == "std::vector<std::vector<std::string>>");
    CHECK(name(std::type_identity<std::list<std::wstring>>{}) == "std::list<std::basic_string<wchar_t>>");
    CHECK(name(std::type_identity<std::unique_ptr<int>>{}) == "std::unique_ptr<int, std::default_delete<int>>");
}
