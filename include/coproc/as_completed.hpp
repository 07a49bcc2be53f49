// Results in the order in which their tasks end.
#pragma once

#include <coproc/async_result.hpp>
#include <coproc/stream.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

namespace coproc {

namespace detail {

/// Calls `then` on the executor once the job has ended, unless the executor's loop ends before.
void when_done(const std::shared_ptr<pool_state>& pool, const std::shared_ptr<job>& work, const asio::any_io_executor& executor,
               std::function<void()> then);

/// Indices of what has ended, as they come.
class completions {
public:
    explicit completions(const asio::any_io_executor& executor) : change_{executor, asio::steady_timer::time_point::max()} {}

    void add(std::size_t index)
    {
        ended_.push_back(index);
        change_.cancel();
    }
    task<std::size_t> next()
    {
        while (ended_.empty())
            try {
                auto change = change_.async_wait(asio::use_awaitable);
                co_await std::move(change);
            } catch (const std::system_error&) {
                if (ended_.empty())
                    throw; // who waits was cancelled
            }
        auto first = ended_.front();
        ended_.pop_front();
        co_return first;
    }

private:
    asio::steady_timer change_;
    std::deque<std::size_t> ended_;
};

struct result_parts {
    template <class T>
    static void when_ready(const async_result<T>& result, const asio::any_io_executor& executor, std::function<void()> then)
    {
        result.check();
        when_done(result.pool_, result.job_, executor, std::move(then));
    }
};

} // namespace detail

/// The results, of one pool or of several, in the order in which their tasks end, in whatever way: the get() of each that
/// comes completes at once. Destroying the stream drops the handles of those that didn't come; their tasks go on. All its
/// next() are to be awaited on one loop.
template <class T>
[[nodiscard]] stream<async_result<T>> as_completed(std::vector<async_result<T>> results)
{
    auto executor = co_await asio::this_coro::executor;
    auto ended = std::make_shared<detail::completions>(executor);
    for (std::size_t i = 0; i < results.size(); ++i)
        detail::result_parts::when_ready(results[i], executor, [weak = std::weak_ptr{ended}, i] {
            if (auto list = weak.lock())
                list->add(i);
        });
    for (std::size_t left = results.size(); left > 0; --left) {
        auto next = ended->next();
        auto index = co_await std::move(next);
        co_yield std::move(results[index]);
    }
}

} // namespace coproc
