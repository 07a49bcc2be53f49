// Work on a loop that other threads run, and its end as a future.
#pragma once

#include <coproc/task.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/co_spawn.hpp>

#include <exception>
#include <future>
#include <memory>
#include <utility>

namespace pool_test {

/// co_spawn with a future. (Asio's use_future starts the threads of its system_context, for the life of the process.)
template <class T>
std::future<T> spawn(asio::any_io_executor executor, coproc::task<T> work)
{
    auto promise = std::make_shared<std::promise<T>>();
    asio::co_spawn(executor, std::move(work), [promise](std::exception_ptr e, T value) {
        e ? promise->set_exception(e) : promise->set_value(std::move(value));
    });
    return promise->get_future();
}
inline std::future<void> spawn(asio::any_io_executor executor, coproc::task<> work)
{
    auto promise = std::make_shared<std::promise<void>>();
    asio::co_spawn(executor, std::move(work), [promise](std::exception_ptr e) { e ? promise->set_exception(e) : promise->set_value(); });
    return promise->get_future();
}

} // namespace pool_test
