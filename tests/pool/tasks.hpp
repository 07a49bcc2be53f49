// Small tasks for workers, and what runs a test's coroutine.
#pragma once

#include <coproc/bind_front.hpp>
#include <coproc/pool.hpp>
#include <coproc/run.hpp>

#include <catch2/catch.hpp>

// Catch2 names each expression twice more, unevaluated, for the sake of warnings; g++ 12 evaluates a co_await there all
// the same. This is its macro without them, so that CHECK(co_await ...) awaits once.
#undef INTERNAL_CATCH_TEST
#define INTERNAL_CATCH_TEST(name, disposition, ...)                                                                    \
    do {                                                                                                               \
        Catch::AssertionHandler catchAssertionHandler(name##_catch_sr, CATCH_INTERNAL_LINEINFO,                        \
                                                      CATCH_INTERNAL_STRINGIFY(__VA_ARGS__), disposition);             \
        INTERNAL_CATCH_TRY { catchAssertionHandler.handleExpr(Catch::Decomposer() <= __VA_ARGS__); }                   \
        INTERNAL_CATCH_CATCH(catchAssertionHandler)                                                                    \
        INTERNAL_CATCH_REACT(catchAssertionHandler)                                                                    \
    } while (false)

#include <exception>
#include <string>
#include <unistd.h>
#include <vector>

namespace pool_test {

/// Runs the coroutine that `f` makes; `f` lives as long, so that it may be a lambda with captures.
template <class F>
auto in_loop(F f)
{
    return coproc::sync_wait(f());
}

/// What a coroutine threw, as it arrived.
template <class T>
coproc::task<std::exception_ptr> failure_of(coproc::task<T> work)
{
    try {
        static_cast<void>(co_await std::move(work));
    } catch (...) {
        co_return std::current_exception();
    }
    co_return nullptr;
}
template <>
inline coproc::task<std::exception_ptr> failure_of(coproc::task<> work)
{
    try {
        co_await std::move(work);
    } catch (...) {
        co_return std::current_exception();
    }
    co_return nullptr;
}

/// Whether it is an E whose text has `text` in it.
template <class E>
bool is(const std::exception_ptr& e, const std::string& text = {})
{
    if (!e)
        return false;
    try {
        std::rethrow_exception(e);
    } catch (const E& error) {
        INFO(error.what());
        return std::string{error.what()}.find(text) != std::string::npos;
    } catch (const std::exception& error) {
        UNSCOPED_INFO("it is a " << typeid(error).name() << ": " << error.what());
        return false;
    } catch (...) {
        return false;
    }
}

inline int twice(int n) { return 2 * n; }
inline int add(int a, int b) { return a + b; }
inline int own_pid() { return ::getpid(); }
inline int own_pid_of(int) { return ::getpid(); }

} // namespace pool_test
