#include <coproc/wait_any.hpp>

#include "channels/connection_state.hpp"
#include "os/calls.hpp"
#include "os/watch_set.hpp"
#include "process/ready.hpp"
#include "process/within.hpp"

#include <coproc/detail/fairness.hpp>
#include <coproc/error.hpp>

#include <asio/experimental/awaitable_operators.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>
#include <poll.h>
#include <set>

namespace coproc::detail {
namespace {

using clock = std::chrono::steady_clock;

std::vector<std::size_t> ready_ones(const std::vector<waitable>& all)
{
    std::vector<std::size_t> result;
    for (std::size_t i = 0; i < all.size(); ++i)
        if (all[i].at ? clock::now() >= *all[i].at : all[i].is_ready())
            result.push_back(i);
    return result;
}

task<> either(task<> first, task<> second)
{
    using namespace asio::experimental::awaitable_operators;
    auto any = std::move(first) || std::move(second);
    static_cast<void>(co_await std::move(any));
}

task<> pass_time(clock::time_point until)
{
    asio::steady_timer timer{co_await asio::this_coro::executor, until};
    co_await timer.async_wait(asio::use_awaitable);
}

} // namespace

waitable waitable_of(connection& c)
{
    auto state = connection_factory::state_of(c);
    if (!state)
        throw usage_error{"wait_any got an empty connection"};
    if (!state->can().reads)
        throw usage_error{"wait_any got the sending end of a one-way pipe"};
    waitable result;
    if (auto number = state->reading_or_none(); number >= 0)
        result.descriptor = number;
    result.is_ready = [state] { return state->may_receive(); };
    return result;
}

waitable waitable_of(process& p)
{
    waitable result;
    result.descriptor = p.native_handle();
    result.is_ready = [&p] { return !p.running(); };
    return result;
}

waitable waitable_of(const readable& r)
{
    waitable result;
    result.descriptor = r.descriptor;
    result.is_ready = [number = r.descriptor] {
        pollfd p{number, POLLIN, 0};
        return os::poll(&p, 1, 0) == 1;
    };
    return result;
}

waitable waitable_of(clock::time_point at)
{
    waitable result;
    result.at = at;
    return result;
}

task<std::vector<std::size_t>> wait_any_of(std::vector<waitable> all)
{
    if (all.empty())
        throw usage_error{"wait_any got nothing to wait for"};
    if (had_its_turn()) {
        auto others = let_others_run();
        co_await std::move(others);
    }
    if (auto now = ready_ones(all); !now.empty())
        co_return now;

    os::watch_set set;
    std::set<int> watched;
    std::optional<clock::time_point> end;
    for (auto& one : all) {
        if (one.descriptor >= 0 && watched.insert(one.descriptor).second)
            set.add_readable(one.descriptor, 0);
        if (one.at)
            end = std::min(end.value_or(*one.at), *one.at);
    }
    std::vector<std::uint64_t> news;
    for (;;) {
        if (auto now = ready_ones(all); !now.empty())
            co_return now;
        std::optional<task<>> change;
        auto add = [&](task<> one) { change.emplace(change ? either(std::move(*change), std::move(one)) : std::move(one)); };
        if (!watched.empty())
            add(ready(set.number(), waits::wait_read));
        if (end)
            add(pass_time(*end));
        for (auto& one : all)
            if (one.wait)
                add(one.wait());
        auto any = std::move(*change);
        co_await std::move(any);
        news.clear();
        set.collect(news);
    }
}

} // namespace coproc::detail
