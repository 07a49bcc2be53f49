// Eight processes and more at one queue, or in pairs at connections, a hundred thousand times each.
#include "channels/copies.hpp"
#include "support/slowness.hpp"
#include "sync/copy_of_this.hpp"

#include <coproc/barrier.hpp>
#include <coproc/pipe.hpp>
#include <coproc/queue.hpp>
#include <coproc/shared_value.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

using namespace coproc;
using namespace sync_test;
using channels_test::sent;
using tests::copy_of_this;

namespace {

constexpr int times = 100'000 / (support::slowness * support::slowness * support::slowness);

/// In so many copies of this process, each with its number, that begin together; each must end well.
void in_each(int processes, const std::function<void(int)>& work)
{
    barrier begin{static_cast<std::uint32_t>(processes)};
    CHECK_FALSE(begin.broken()); // made before it is copied
    std::vector<std::unique_ptr<copy_of_this>> all;
    for (int i = 0; i < processes; ++i)
        all.push_back(std::make_unique<copy_of_this>([&, i] {
            sync_wait(begin.arrive_and_wait());
            work(i);
            return 0;
        }));
    for (auto& one : all)
        CHECK(one->end() == 0);
}

using tagged = std::pair<int, int>; // producer, number

/// `producers` put `each`, as many consumers get as many; what they got adds up, and of one producer's items each consumer
/// sees later ones later.
void through(queue<tagged> q, int producers, int each)
{
    const sent handle{q};
    shared_value<std::int64_t> sum{0};
    shared_value<int> wrong{0};
    in_each(2 * producers, [&](int number) {
        auto its = handle.take();
        sync_wait([&]() -> task<> {
            std::vector<int> last(static_cast<std::size_t>(producers), -1);
            std::int64_t own = 0;
            for (int i = 0; i < each; ++i)
                if (number < producers) {
                    auto put = its.put({number, i});
                    co_await std::move(put);
                } else {
                    auto get = its.get();
                    auto item = co_await std::move(get);
                    auto& before = last.at(static_cast<std::size_t>(item->first));
                    if (item->second <= before)
                        wrong.fetch_add(1);
                    before = item->second;
                    own += std::int64_t{item->first} * each + item->second;
                }
            sum.fetch_add(own);
        }());
    });
    const std::int64_t all = std::int64_t{producers} * each;
    CHECK(sum.load() == all * (all - 1) / 2);
    CHECK(wrong.load() == 0);
    CHECK(q.empty());
}

} // namespace

TEST_CASE("four processes put and four get, a hundred thousand items each, and none is lost, doubled or overtaken", "[QUE-012]")
{
    const std::size_t capacity = GENERATE(0u, 100u);
    through(queue<tagged>{capacity}, 4, capacity == 0 ? times : times / 4);
}

TEST_CASE("ten producers and ten consumers of one place pass a hundred thousand items, and none is lost, doubled or overtaken", "[QUE-012]")
{
    through(queue<tagged>{1}, 10, times / 10);
}

TEST_CASE("four pairs of processes talk over pipes, a hundred thousand messages each, in order", "[PIP-001]")
{
    std::vector<std::pair<connection, connection>> pipes(4);
    for (auto& one : pipes)
        one = pipe();
    shared_value<int> wrong{0};
    in_each(8, [&](int number) {
        auto& [a, b] = pipes[static_cast<std::size_t>(number / 2)];
        sync_wait([](connection& end, bool sends, shared_value<int> bad) -> task<> {
            for (int i = 0; i < times; ++i)
                if (sends) {
                    auto turn = end.send(i);
                    co_await std::move(turn);
                } else {
                    auto turn = end.recv<int>();
                    if (co_await std::move(turn) != i)
                        bad.fetch_add(1);
                }
        }(number % 2 == 0 ? a : b, number % 2 == 0, wrong));
    });
    CHECK(wrong.load() == 0);
}
