// Sends a call through the bytes of a message and runs it in this process, as a worker would.
#pragma once

#include <coproc/detail/entry.hpp>

#include "wire/exception.hpp"
#include "wire/trace.hpp"

#include <asio.hpp>
#include <exception>
#include <string>
#include <utility>
#include <vector>

namespace wire_test {

using bytes = std::vector<std::byte>;

inline bytes bytes_of(const coproc::detail::buffer& buffer)
{
    return {buffer.data(), buffer.data() + buffer.size()};
}

/// The message of a call of `f` with one tuple of arguments.
template <class F, class... Args>
bytes message_of(const F& f, Args&&... args)
{
    static_assert(coproc::detail::check_call<F, Args...>());
    coproc::detail::buffer buffer;
    coproc::output_archive out{buffer};
    coproc::detail::encode_task_function<F, Args...>(out, f);
    coproc::detail::encode_arguments(out, f, std::forward<Args>(args)...);
    return bytes_of(buffer);
}

inline void run(const coproc::detail::entry& entry, coproc::detail::invocation& call)
{
    if (entry.plain)
        return entry.plain(call);
    asio::io_context context;
    std::exception_ptr failure;
    asio::co_spawn(context, entry.coroutine(call), [&](std::exception_ptr e) { failure = e; });
    context.run();
    if (failure)
        std::rethrow_exception(failure);
}

/// What a message does when it arrives: its results as bytes.
inline bytes execute(const bytes& message)
{
    coproc::input_archive in{message.data(), message.size()};
    coproc::detail::buffer results;
    coproc::output_archive out{results};
    coproc::detail::invocation call{in, out};
    run(coproc::detail::decode_entry(in), call);
    return bytes_of(results);
}

template <class T>
T value_in(const bytes& message)
{
    coproc::input_archive in{message.data(), message.size()};
    T value{};
    coproc::detail::load_value(in, value);
    return value;
}

/// f(args...), through two messages.
template <class F, class... Args>
auto call_here(const F& f, Args&&... args)
{
    const auto results = execute(message_of(f, std::forward<Args>(args)...));
    using result = coproc::detail::call_result_t<F, Args...>;
    if constexpr (!std::is_void_v<result>)
        return value_in<result>(results);
}

/// An exception as it arrives after a journey.
inline std::exception_ptr sent(std::exception_ptr exception, const char* task = "a task", std::size_t index = 0)
{
    coproc::detail::buffer buffer;
    coproc::output_archive out{buffer};
    coproc::detail::encode_exception(out, std::move(exception), task, index);
    coproc::input_archive in{buffer.data(), buffer.size()};
    return coproc::detail::decode_exception(in);
}

} // namespace wire_test
