// One function in a process of its own.
#pragma once

#include <coproc/pool.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <exception>
#include <string_view>
#include <type_traits>
#include <utility>

namespace coproc {

/// For coproc::call; the names mean what they mean in pool_options and call_options.
struct own_process_options {
    std::size_t memory_limit = 0;
    std::chrono::seconds cpu_limit{0};
    std::size_t open_files_limit = 0;
    std::chrono::nanoseconds timeout{0};
    std::chrono::nanoseconds deadline{0};
    int retries = 0; ///< in the same process, if it has survived the failure
    std::chrono::nanoseconds backoff{0};
    bool (*retry_if)(const std::exception_ptr&) = nullptr;
    std::chrono::milliseconds grace{5000};
    std::string_view name{};
};

namespace detail {
[[nodiscard]] pool_options pool_for_one(const own_process_options& options);
[[nodiscard]] call_options call_for_one(const own_process_options& options) noexcept;

template <class R>
task<R> finish_in_pool(pool workers, async_result<R> result)
{
    [[maybe_unused]] pool alive = std::move(workers); // until this is done, and no longer
    auto end = result.get(); // named: see "known traps" in the design page
    co_return co_await std::move(end);
}
} // namespace detail

/// Calls `f(args...)` in a new process, which starts at once and has ended when the call is done: what crashes there, leaks
/// or takes too much memory harms nothing here. As pool::apply otherwise; destroying the awaitable, or cancelling it, stops
/// the process. With more than a few calls, a pool is faster.
///
/// Throws: what `f` threw; worker_crashed; timeout_error; std::bad_alloc if `f` didn't get memory beyond memory_limit.
/// Cost:   starting a process, half a millisecond.
template <class F, class... Args>
    requires(!std::is_same_v<std::remove_cvref_t<F>, own_process_options>)
[[nodiscard]] auto call(F&& f, Args&&... args) -> task<detail::call_result_t<F, Args...>>
{
    return call(own_process_options{}, std::forward<F>(f), std::forward<Args>(args)...);
}
template <class F, class... Args>
[[nodiscard]] auto call(const own_process_options& options, F&& f, Args&&... args) -> task<detail::call_result_t<F, Args...>>
{
    pool one{detail::pool_for_one(options)};
    auto result = one.submit(detail::call_for_one(options), std::forward<F>(f), std::forward<Args>(args)...);
    return detail::finish_in_pool<detail::call_result_t<F, Args...>>(std::move(one), std::move(result));
}

} // namespace coproc
