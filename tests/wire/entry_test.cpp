#include <catch2/catch.hpp>

#include <coproc/error.hpp>

#include "support/counted.hpp"
#include "wire/call_here.hpp"
#include "wire/same_name.hpp"

#include <cstring>
#include <numeric>
#include <span>
#include <stdexcept>

using namespace wire_test;
using Catch::Contains;

namespace {

int square(int x) noexcept { return x * x; }
[[maybe_unused]] int overloaded(int) { return 1; }
int overloaded(double) { return 2; }
void nothing(int) {}
std::string_view view_of(const std::string& s) { return s; }
const std::string& reference_to(const std::string& s) { return s; }
std::size_t length(const char* s) { return std::strlen(s); }
std::size_t view_length(const std::string_view& s) { return s.size(); }
int sum(std::span<const int> numbers) { return std::accumulate(numbers.begin(), numbers.end(), 0); }
int change(int& n) { return ++n; }
std::string take(std::string&& s) { return std::move(s) + "!"; }
std::unique_ptr<int> own(std::unique_ptr<int> p) { return p; }
coproc::task<int> later(std::string s, int n) { co_return static_cast<int>(s.size()) + n; }
coproc::task<> later_nothing(const std::string_view&) { co_return; }
int fail_at_two(int n)
{
    if (n == 2)
        throw std::domain_error{"two"};
    return n;
}
coproc::task<int> later_fail_at_two(int n) { co_return fail_at_two(n); }
int exit_code(int n) { return n; }
std::optional<int> keep(const support::counted& c) { return c.id; }

struct shape {
    int size = 3;
    virtual ~shape() = default;
    virtual std::string name(int n) const { return "shape" + std::to_string(n); }
    int scaled(int by) { return size *= by; }
    int lvalue_only() & { return size; }
    int rvalue_only() && { return -size; }
    template <class Archive>
    void serialize(Archive& archive)
    {
        archive(size);
    }
};
struct circle : shape {
    std::string name(int n) const override { return "circle" + std::to_string(n); }
};

struct adder {
    int base = 0;
    int operator()(int n) const { return base + n; }
    template <class Archive>
    void serialize(Archive& archive)
    {
        archive(base);
    }
};

struct not_default {
    not_default(int) {}
    int operator()(int n) const { return n + 1; }
};

} // namespace

TEST_CASE("functions of every kind are called with what was sent", "[EXE-001]")
{
    CHECK(call_here(&square, 5) == 25);
    CHECK(call_here([](int x) { return x + 1; }, 5) == 6);
    CHECK(call_here([](auto x, auto y) { return x + y; }, 5, 2.5) == 7.5);
    CHECK(call_here([](auto& s) { return s += "!"; }, "text") == "text!");
    CHECK(call_here(adder{40}, 2) == 42);
    CHECK(call_here(not_default{1}, 2) == 3);
    CHECK(call_here(std::plus<>{}, 1, 2) == 3);
    CHECK(call_here(static_cast<int (*)(double)>(overloaded), 1) == 2);
    CHECK(call_here(&std::strlen, "in a shared library") == 19);
    call_here(&nothing, 1);
}

TEST_CASE("arguments become what the parameters ask for")
{
    CHECK(call_here(&square, 'c') == 'c' * 'c');
    CHECK(call_here(&square, 3.9) == 9);
    CHECK(call_here(&view_of, "text") == "text");
    CHECK(call_here(&reference_to, std::string{"text"}) == "text");
    CHECK(call_here(&length, "text") == 4);
    CHECK(call_here(&length, std::string{"text"}) == 4);
    CHECK(call_here(&view_length, "text") == 4);
    CHECK(call_here(&sum, std::vector{1, 2, 3}) == 6);
    CHECK(call_here(&sum, std::array{1, 2, 3}) == 6);
    CHECK(call_here(&change, 1) == 2);
    CHECK(call_here(&take, "text") == "text!");
    CHECK(*call_here(&own, std::make_unique<int>(5)) == 5);
}

TEST_CASE("an argument of the parameter's type is not copied before it is written")
{
    const support::counted argument{7};
    support::counted::reset();
    const auto message = message_of(&keep, argument);
    CHECK(support::counted::copied == 0);
    CHECK(support::counted::constructed == 0);
    CHECK(value_in<std::optional<int>>(execute(message)) == 7);
}

TEST_CASE("members are called on the object that was sent")
{
    CHECK(call_here(&shape::scaled, shape{}, 4) == 12);
    CHECK(call_here(&shape::size, shape{}) == 3);
    CHECK(call_here(&shape::lvalue_only, shape{}) == 3);
    CHECK(call_here(&shape::rvalue_only, shape{}) == -3);
    CHECK(call_here(&shape::name, shape{}, 1) == "shape1");
    CHECK(call_here(&shape::name, circle{}, 2) == "circle2");
    CHECK(call_here(&circle::name, circle{}, 2) == "circle2");
    CHECK(call_here(&shape::name, std::make_unique<circle>(), 3) == "circle3");
}

TEST_CASE("a coroutine is awaited, and gives what it returns")
{
    CHECK(call_here(&later, "four", 1) == 5);
    call_here(&later_nothing, "x");
    CHECK(call_here([](int n) -> coproc::task<int> { co_return n + 1; }, 1) == 2);
}

TEST_CASE("bind_front keeps state before the arguments")
{
    CHECK(call_here(coproc::bind_front(&later, "four"), 2) == 6);
    CHECK(call_here(coproc::bind_front(&length, "four")) == 4);
    CHECK(call_here(coproc::bind_front(&sum, std::vector{1, 2})) == 3);
    CHECK(call_here(coproc::bind_front(&shape::name, circle{}), 4) == "circle4");
    CHECK(call_here(coproc::bind_front([](int a, int b) { return a - b; }, 5), 3) == 2);
    CHECK(call_here(coproc::bind_front([](auto& a, auto b) { return a + b; }, 5), 3) == 8);
    CHECK(call_here(coproc::bind_front(coproc::bind_front(std::minus<int>{}, 5), 3)) == 2);
    CHECK(coproc::bind_front(&square, 3)() == 9);
}

TEST_CASE("functions and lambdas of the same name in two files are told apart")
{
    using namespace same_name;
    CHECK(value_in<std::string>(execute(function_of_a())) == "a");
    CHECK(value_in<std::string>(execute(function_of_b())) == "b");
    CHECK(value_in<std::string>(execute(lambda_of_a())) == "a");
    CHECK(value_in<std::string>(execute(lambda_of_b())) == "b");
    CHECK(value_in<std::string>(execute(object_of_a())) == "a");
    CHECK(value_in<std::string>(execute(object_of_b())) == "b");
}

TEST_CASE("lambdas of the same shape on one line are told apart")
{
    const auto a = [](int) { return 1; }; const auto b = [](int) { return 2; };
    CHECK(call_here(a, 0) + 10 * call_here(b, 0) == 21);
}

namespace {

template <class F>
coproc::detail::invocation run_many(const F& f, coproc::detail::buffer& results, std::exception_ptr& failure)
{
    coproc::detail::buffer buffer;
    coproc::output_archive out{buffer};
    coproc::detail::encode_task_function<F, int>(out, f);
    for (int n = 0; n < 4; ++n)
        coproc::detail::encode_arguments(out, f, n);
    coproc::input_archive in{buffer.data(), buffer.size()};
    coproc::output_archive gets{results};
    coproc::detail::invocation call{in, gets, 4};
    try {
        run(coproc::detail::decode_entry(in), call);
    } catch (...) {
        failure = std::current_exception();
    }
    return call;
}

} // namespace

TEST_CASE("many calls of one message give their results in order")
{
    coproc::detail::buffer results;
    std::exception_ptr failure;
    const auto call = run_many(&square, results, failure);
    CHECK(!failure);
    CHECK(call.done == 4);
    coproc::input_archive in{results.data(), results.size()};
    int a = 0, b = 0, c = 0, d = 0;
    in(a, b, c, d);
    CHECK(a + 10 * b + 100 * c + 1000 * d == 9410);
}

TEST_CASE("when one of many calls throws, the results before it are kept whole")
{
    for (const auto f : {+[](coproc::detail::buffer& r, std::exception_ptr& e) { return run_many(&fail_at_two, r, e).done; },
                         +[](coproc::detail::buffer& r, std::exception_ptr& e) { return run_many(&later_fail_at_two, r, e).done; }}) {
        coproc::detail::buffer results;
        std::exception_ptr failure;
        CHECK(f(results, failure) == 2);
        CHECK_THROWS_AS(std::rethrow_exception(failure), std::domain_error);
        CHECK(results.size() == 2 * sizeof(int));
    }
}

TEST_CASE("a body's int is its exit code; other results stay where they are")
{
    const auto code_of = [](const auto& f, auto... args) {
        using F = std::decay_t<decltype(f)>;
        static_assert(coproc::detail::check_body<F, decltype(args)...>());
        coproc::detail::buffer buffer, none;
        coproc::output_archive out{buffer}, unused{none};
        coproc::detail::encode_body_function<F, decltype(args)...>(out, f);
        coproc::detail::encode_arguments(out, f, args...);
        coproc::input_archive in{buffer.data(), buffer.size()};
        coproc::detail::invocation call{in, unused};
        run(coproc::detail::decode_entry(in), call);
        CHECK(none.empty());
        return call.exit_code;
    };
    CHECK(code_of(&exit_code, 7) == 7);
    CHECK(code_of(&later, "four", 3) == 7);
    CHECK(code_of(&nothing, 7) == 0);
    CHECK(code_of([] { return static_cast<void*>(nullptr); }) == 0);
}

TEST_CASE("what a task cannot load is a clear error, and it is not called", "[CRA-003]")
{
    auto message = message_of(&take, "text");
    message.pop_back();
    CHECK_THROWS_WITH(execute(message), Contains("remain"));
}

TEST_CASE("an identity that nobody has is refused by name", "[EXE-045]")
{
    const bytes zeros(32);
    CHECK_THROWS_AS(execute(zeros), coproc::protocol_error);
    CHECK_THROWS_AS(execute({}), coproc::protocol_error);
}

TEST_CASE("a null function pointer is refused by its sender")
{
    int (*none)(int) = nullptr;
    int (shape::*no_member)(int) = nullptr;
    CHECK_THROWS_AS(message_of(none, 1), coproc::usage_error);
    CHECK_THROWS_AS(message_of(no_member, shape{}, 1), coproc::usage_error);
}

TEST_CASE("a function has its name, a lambda its place")
{
    using coproc::detail::function_name;
    CHECK_THAT(function_name(&square), Contains("square"));
    CHECK_THAT(function_name(&shape::scaled), Contains("shape::scaled"));
    CHECK_THAT(function_name([](int) {}), Contains("lambda"));
    CHECK_THAT(function_name(coproc::bind_front(&square, 1)), Contains("square"));
}
