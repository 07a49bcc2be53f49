#include <catch2/catch.hpp>

#include <coproc/error.hpp>

#include "wire/call_here.hpp"

#include <stdexcept>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define NO_TRACES // see src/wire/trace.hpp
#endif
#endif

using Catch::Contains;

namespace trace_names {

[[gnu::noinline]] void thrower(int n)
{
    if (n != 0)
        throw std::runtime_error{"thrown " + std::to_string(n)};
}

[[gnu::noinline]] int task(int n)
{
    thrower(n);
    return n;
}

[[gnu::noinline]] int rethrowing_task(int n)
{
    try {
        thrower(n);
    } catch (const std::exception&) {
        try {
            thrower(n + 1); // another one meanwhile
        } catch (const std::exception&) {
        }
        throw;
    }
    return n;
}

coproc::task<int> coroutine(int n)
{
    thrower(n);
    co_return n;
}

} // namespace trace_names

namespace {

template <class F>
std::string trace_of_failure(F f)
{
    const auto message = wire_test::message_of(f, 7);
    const coproc::detail::trace_scope scope;
    std::exception_ptr failure;
    try {
        wire_test::execute(message);
    } catch (...) {
        failure = wire_test::sent(std::current_exception());
    }
    REQUIRE(failure);
    try {
        std::rethrow_exception(failure);
    } catch (const coproc::remote_error& e) {
        return e.trace();
    }
}

} // namespace

#if !defined(NO_TRACES)
TEST_CASE("the trace of an exception begins at the throw and ends at the task", "[EXE-049]")
{
    const auto trace = trace_of_failure(trace_names::task);
    CAPTURE(trace);
    CHECK(trace.starts_with("trace_names::thrower")); // "(int)" follows unless the compiler made a clone of it
    CHECK_THAT(trace, Contains("\ntrace_names::task(int)"));
    CHECK(trace.find("coproc::detail") == trace.npos);
    CHECK(trace.find("Catch") == trace.npos);
}

TEST_CASE("the trace of an exception that is thrown again is that of its first throw")
{
    const auto trace = trace_of_failure(trace_names::rethrowing_task);
    CAPTURE(trace);
    CHECK(trace.starts_with("trace_names::thrower")); // "(int)" follows unless the compiler made a clone of it
    CHECK_THAT(trace, Contains("trace_names::rethrowing_task(int)"));
}

TEST_CASE("a coroutine's exception has a trace")
{
    const auto trace = trace_of_failure(trace_names::coroutine);
    CAPTURE(trace);
    CHECK(trace.starts_with("trace_names::thrower")); // "(int)" follows unless the compiler made a clone of it
    CHECK_THAT(trace, Contains("trace_names::coroutine"));
    CHECK(trace.find("asio::detail") == trace.npos);
}
#endif

TEST_CASE("outside a trace_scope no trace is taken")
{
    try {
        trace_names::thrower(1);
    } catch (...) {
        CHECK(coproc::detail::trace_of(std::current_exception()).empty());
    }
    CHECK(coproc::detail::trace_of(nullptr).empty());
}
