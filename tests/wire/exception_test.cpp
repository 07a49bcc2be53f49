#include <catch2/catch.hpp>

#include <coproc/error.hpp>

#include "wire/call_here.hpp"

#include <any>
#include <filesystem>
#include <functional>
#include <future>
#include <ios>
#include <system_error>
#include <unistd.h>
#include <variant>

using wire_test::sent;
using Catch::Contains;

namespace {

/// The exception that `throws` throws, after its journey, given to `see` as both types.
template <class Expected, class Throw, class See>
void arrives_as(Throw throws, See see)
{
    std::exception_ptr caught;
    try {
        throws();
    } catch (...) {
        caught = sent(std::current_exception(), "square", 5);
    }
    REQUIRE(caught);
    try {
        std::rethrow_exception(caught);
    } catch (const Expected& e) {
        see(e, dynamic_cast<const coproc::remote_error&>(e));
        return;
    }
}

template <class E, class Expected = E>
void keeps_its_type(const E& thrown)
{
    arrives_as<Expected>([&] { throw thrown; }, [&](const Expected& e, const coproc::remote_error& remote) {
        CHECK(std::string{e.what()} == thrown.what());
        CHECK(std::string{remote.what()} == thrown.what());
        CHECK(remote.pid() == ::getpid());
        CHECK(remote.task_name() == "square");
        CHECK(remote.index() == 5);
    });
}

struct parse_error : std::invalid_argument {
    using std::invalid_argument::invalid_argument;
};

struct silent : std::exception {
    const char* what() const noexcept override { return nullptr; }
};

struct left : std::runtime_error { left() : runtime_error{"left"} {} };
struct right : std::logic_error { right() : logic_error{"right"} {} };
struct both : left, right {}; // its base std::exception is ambiguous

} // namespace

TEST_CASE("each standard exception arrives as its own type, with its words", "[MGR-002]")
{
    keeps_its_type(std::logic_error{"a"});
    keeps_its_type(std::domain_error{"a"});
    keeps_its_type(std::invalid_argument{"a"});
    keeps_its_type(std::length_error{"a"});
    keeps_its_type(std::out_of_range{"a"});
    keeps_its_type(std::runtime_error{"a"});
    keeps_its_type(std::range_error{"a"});
    keeps_its_type(std::overflow_error{"a"});
    keeps_its_type(std::underflow_error{"a"});
    keeps_its_type(std::bad_alloc{});
    keeps_its_type(std::bad_array_new_length{});
    keeps_its_type(std::bad_cast{});
    keeps_its_type(std::bad_any_cast{});
    keeps_its_type(std::bad_typeid{});
    keeps_its_type(std::bad_exception{});
    keeps_its_type(std::bad_function_call{});
    keeps_its_type(std::bad_weak_ptr{});
    keeps_its_type(std::bad_optional_access{});
    keeps_its_type(std::bad_variant_access{});
    keeps_its_type(std::exception{});
    keeps_its_type<std::future_error, std::logic_error>(std::future_error{std::future_errc::no_state});
    keeps_its_type<std::filesystem::filesystem_error, std::system_error>(
        {"a", "/path", std::make_error_code(std::errc::permission_denied)});
    keeps_its_type<std::ios_base::failure, std::system_error>(std::ios_base::failure{"a"});
}

TEST_CASE("the library's own errors arrive as themselves")
{
    keeps_its_type(coproc::error{"a"});
    keeps_its_type(coproc::usage_error{"a"});
    keeps_its_type(coproc::protocol_error{"a"});
    keeps_its_type(coproc::type_error{"a"});
    keeps_its_type(coproc::authentication_error{"a"});
    keeps_its_type(coproc::timeout_error{"a"});
    keeps_its_type(coproc::cancelled_error{"a"});
    const coproc::worker_crashed crash{{.signal = 11, .pid = 123, .index = 7, .task_name = "t", .last_output = "oops"}};
    arrives_as<coproc::worker_crashed>([&] { throw crash; }, [&](const coproc::worker_crashed& e, auto&) {
        CHECK(e.signal() == 11);
        CHECK(e.exit_code() == -1);
        CHECK(e.pid() == 123);
        CHECK(e.index() == 7);
        CHECK(e.last_output() == "oops");
        CHECK(std::string{e.what()} == crash.what());
    });
}

TEST_CASE("a class of the user's arrives as its nearest standard base, with its own name")
{
    arrives_as<std::invalid_argument>([] { throw parse_error{"line 3"}; }, [](auto& e, auto& remote) {
        CHECK(std::string{e.what()} == "line 3");
        CHECK_THAT(remote.type_name(), Contains("parse_error"));
    });
}

TEST_CASE("a system_error keeps its code")
{
    for (const auto& code : {std::make_error_code(std::errc::no_such_file_or_directory),
                             std::error_code{EPIPE, std::system_category()}, asio::error::make_error_code(asio::error::eof)})
        arrives_as<std::system_error>([&] { throw std::system_error{code, "open"}; }, [&](const std::system_error& e, auto&) {
            CHECK(e.code() == code);
            CHECK(std::string{e.what()} == std::system_error{code, "open"}.what());
        });
}

TEST_CASE("a category that nobody knows here keeps its name and value")
{
    struct category final : std::error_category {
        const char* name() const noexcept override { return "of the user"; }
        std::string message(int) const override { return "m"; }
    } own;
    arrives_as<std::system_error>([&] { throw std::system_error{3, own, "w"}; }, [](const std::system_error& e, auto&) {
        CHECK(std::string{e.code().category().name()} == "of the user");
        CHECK(e.code().value() == 3);
        CHECK(std::string{e.what()} == "w: m");
    });
}

TEST_CASE("what is no std::exception arrives as coproc::error that names its type")
{
    arrives_as<coproc::error>([] { throw 42; }, [](auto& e, auto& remote) {
        CHECK_THAT(e.what(), Contains("int"));
        CHECK(remote.type_name() == "int");
    });
    arrives_as<coproc::error>([] { throw "words"; }, [](auto& e, auto&) { CHECK(std::string{e.what()} == "words"); });
    arrives_as<coproc::error>([] { throw std::string{"words"}; }, [](auto& e, auto&) { CHECK(std::string{e.what()} == "words"); });
    arrives_as<coproc::error>([] { throw both{}; }, [](auto&, auto& remote) { CHECK_THAT(remote.type_name(), Contains("both")); });
}

TEST_CASE("odd exceptions are sent too: what() is null, there is none at all")
{
    arrives_as<std::exception>([] { throw silent{}; }, [](auto& e, auto&) { CHECK(std::string{e.what()}.empty()); });
    CHECK_THROWS_AS(std::rethrow_exception(sent(nullptr)), coproc::error);
}

TEST_CASE("texts arrive exactly, whatever their length and alphabet")
{
    keeps_its_type(std::runtime_error{"Größe: 5 €, ナイーブ"});
    keeps_its_type(std::runtime_error{std::string(1 << 20, 'x')});
    keeps_its_type(std::runtime_error{""});
}

TEST_CASE("nested exceptions arrive as a list of causes, outermost first", "[EXE-042]")
{
    const auto nested = [] {
        try {
            try {
                throw std::out_of_range{"no key"};
            } catch (...) {
                std::throw_with_nested(std::invalid_argument{"bad line"});
            }
        } catch (...) {
            std::throw_with_nested(std::runtime_error{"cannot load"});
        }
    };
    arrives_as<std::runtime_error>(nested, [](auto& e, auto& remote) {
        CHECK(std::string{e.what()} == "cannot load");
        CHECK(remote.type_name() == "std::runtime_error");
        CHECK(remote.causes() == std::vector<std::string>{"std::invalid_argument: bad line", "std::out_of_range: no key"});
    });
}

TEST_CASE("an exception that has come from elsewhere keeps its origin and tells the levels", "[ASY-015]")
{
    const auto inner = sent(std::make_exception_ptr(parse_error{"deep"}), "inner", 3);
    const auto outer = sent(inner, "outer", 4);
    try {
        std::rethrow_exception(outer);
    } catch (const std::invalid_argument& e) {
        const auto& remote = dynamic_cast<const coproc::remote_error&>(e);
        CHECK(std::string{e.what()} == "deep");
        CHECK_THAT(remote.type_name(), Contains("parse_error"));
        CHECK(remote.task_name() == "outer");
        CHECK(remote.index() == 4);
        CHECK_THAT(remote.trace(), Contains("in task inner, input 3"));
    }
}

TEST_CASE("a remote exception can be copied and outlives what it was thrown from")
{
    auto pointer = sent(std::make_exception_ptr(std::runtime_error{"words"}));
    std::optional<std::runtime_error> sliced;
    try {
        std::rethrow_exception(std::exchange(pointer, nullptr));
    } catch (const std::runtime_error& e) {
        sliced = e;
    }
    CHECK(std::string{sliced->what()} == "words");
}

TEST_CASE("a crash is described in words that say what happened", "[EXE-018]")
{
    CHECK(std::string{coproc::worker_crashed{{.signal = 11, .pid = 123, .index = 5, .task_name = "square", .last_output = {}}}.what()}
          == "worker 123 was killed by signal 11 (SIGSEGV) while it ran task square, input 5");
    CHECK(std::string{coproc::worker_crashed{{.exit_code = 99, .pid = 1, .task_name = {}, .last_output = {}}}.what()}
          == "worker 1 exited with code 99");
}
