// Calls that end with an error: how it arrives, and that it costs nobody else anything.
#include "pool/stubborn.hpp"
#include "pool/tasks.hpp"

#include <stdexcept>
#include <string>
#include <vector>

using namespace pool_test;

namespace {

void nothing() {}
int throws(const std::string& text) { throw std::invalid_argument{text}; }
int throws_nested()
{
    try {
        throw std::out_of_range{"the inner one"};
    } catch (...) {
        std::throw_with_nested(std::runtime_error{"the outer one"});
    }
}
std::size_t size_of_error(std::size_t size) { throw std::runtime_error{std::string(size, 'e')}; }

int value_of(const stubborn& s) { return s.value; }

struct nested {
    std::vector<nested> inside;
    template <class Archive>
    void serialize(Archive& archive)
    {
        archive(inside);
    }
};
nested deep(int levels)
{
    nested result;
    nested* at = &result;
    for (; levels > 0; --levels) {
        at->inside.emplace_back();
        at = &at->inside.front();
    }
    return result;
}
int depth(const nested& n) { return n.inside.empty() ? 0 : 1 + depth(n.inside.front()); }

} // namespace

TEST_CASE("an error arrives with its type, its text and where it came from", "[POOL-012]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        auto worker = co_await pool.apply(own_pid);
        try {
            co_await pool.apply({.name = "my task"}, throws, "a text");
            FAIL("no error");
        } catch (const std::invalid_argument& e) {
            CHECK(std::string{e.what()} == "a text");
            auto* remote = dynamic_cast<const coproc::remote_error*>(&e);
            REQUIRE(remote);
            CHECK(remote->pid() == worker);
            CHECK(remote->type_name() == "std::invalid_argument");
        }
    });
}

TEST_CASE("an error of this side is not marked as remote", "[POOL-012]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        co_await pool.close();
        try {
            co_await pool.apply(nothing);
            FAIL("no error");
        } catch (const coproc::usage_error& e) {
            CHECK(dynamic_cast<const coproc::remote_error*>(&e) == nullptr);
        }
    });
}

TEST_CASE("an error arrives with its causes", "[EXE-042]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        try {
            co_await pool.apply(throws_nested);
            FAIL("no error");
        } catch (const coproc::remote_error& e) {
            REQUIRE(e.causes().size() == 1);
            CHECK(e.causes()[0] == "std::out_of_range: the inner one");
        }
    });
}

TEST_CASE("a good task after a bad one is served", "[EXE-041]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        auto worker = co_await pool.apply(own_pid);
        for (int i = 0; i < 10; ++i) {
            CHECK(is<std::invalid_argument>(co_await failure_of(pool.apply(throws, "no"))));
            CHECK(co_await pool.apply(twice, i) == 2 * i);
        }
        CHECK(co_await pool.apply(own_pid) == worker);
    });
}

TEST_CASE("errors with texts of 1 MiB arrive, and the pool can be closed after them", "[POOL-015]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        std::vector<coproc::async_result<std::size_t>> results;
        for (int i = 0; i < 20; ++i)
            results.push_back(pool.submit(size_of_error, std::size_t{1} << 20));
        co_await pool.close();
        for (auto& result : results) {
            auto e = co_await failure_of(result.get());
            CHECK(is<std::runtime_error>(e, std::string(1 << 20, 'e')));
        }
    });
}

TEST_CASE("results that can't be serialized, 20 times in a row, cost no worker", "[POOL-018]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{2};
        std::set<int> pids;
        for (int i = 0; i < 20; ++i) {
            auto e = co_await failure_of(pool.apply(make_stubborn, -1));
            CHECK(is<std::logic_error>(e, "negative values don't travel"));
            pids.insert(co_await pool.apply(own_pid));
        }
        CHECK(pids.size() <= 2);
        auto good = co_await pool.apply(make_stubborn, 4);
        CHECK(good.value == 4);
    });
}

TEST_CASE("a hundred arguments that can't be serialized take no places from a hundred good ones", "[EXE-032]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        for (int i = 0; i < 100; ++i)
            CHECK_THROWS_AS(pool.submit(value_of, stubborn{-1}), std::logic_error);
        std::vector<coproc::async_result<int>> results;
        for (int i = 0; i < 100; ++i)
            results.push_back(pool.submit(value_of, stubborn{i}));
        for (int i = 0; i < 100; ++i)
            CHECK(co_await results[static_cast<std::size_t>(i)].get() == i);
    });
}

TEST_CASE("data that is nested too deep is an error, on either side, and half of it travels", "[BAD-011]")
{
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        CHECK_THROWS_AS(pool.submit(depth, deep(100'000)), coproc::protocol_error);
        auto e = co_await failure_of(pool.apply(deep, 100'000));
        CHECK(is<coproc::protocol_error>(e));
        CHECK(co_await pool.apply(depth, deep(400)) == 400);
    });
}
