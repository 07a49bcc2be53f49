// Where a program that uses coproc begins: coproc::run, or coproc::init and an event loop of its own.
#pragma once

#include <coproc/task.hpp>

#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

namespace coproc {

/// Tells coproc that `main` has begun. Call it first, with main's arguments, in a program with an event loop of its own;
/// coproc::run does it for all others.
///
/// Worker processes are this same executable, started again: in them `init` never returns but becomes what the process was
/// started for. So what stands before it in `main` happens in each of them too (in the fork server once, in processes
/// started by spawn each time) and should have no side effects.
///
/// Ignores SIGPIPE if the program left it at its default, as writing to a worker that died must be an error, not the end.
/// Opens /dev/null in place of a standard stream that is closed, so that no other file takes its number.
/// A second call does nothing. Not thread-safe: call it before threads are started.
void init(int argc, char** argv);

/// Runs `f` in the fork server, once, before the first process is made there: what it loads is shared, copy on write, by
/// all processes that the fork server makes. Call it before run or init. Processes of other start methods don't run it.
/// `f` must not leave threads running, as they would not exist in the copies.
void preload(void (*f)());

namespace detail {

int run_main(int argc, char** argv, const std::function<task<int>(std::vector<std::string>)>& main);
void run_until_done(task<> work);

template <class F>
task<int> as_main(F& f, std::vector<std::string> arguments)
{
    if constexpr (std::is_invocable_v<F&, std::vector<std::string>>) {
        auto work = f(std::move(arguments)); // named: see "known traps" in the design page
        if constexpr (std::is_same_v<decltype(work), task<int>>)
            co_return co_await std::move(work);
        else
            co_await std::move(work);
    } else if constexpr (std::is_same_v<std::invoke_result_t<F&>, task<int>>)
        co_return co_await f();
    else
        co_await f();
    co_return 0;
}

template <class T>
task<> keep_result(task<T> work, std::optional<T>& result)
{
    result.emplace(co_await std::move(work));
}

} // namespace detail

/// Runs the coroutine `main` on an event loop of this thread and returns its exit code, as main's result.
///
/// `main` takes nothing or the program's arguments (std::vector<std::string>, the program's name first) and returns
/// task<> (exit code 0) or task<int>. An exception that leaves it is printed to standard error; the exit code is then 1.
/// When it is done, what else runs on the loop is destroyed, and all processes that are left are stopped.
///
/// Ctrl-C (SIGINT) or SIGTERM cancels `main` (Asio's terminal cancellation), everything is stopped, and the exit code is
/// 130 or 143; a second one ends the program at once, and its processes with it. A handler of the program's own, set
/// before, is left alone.
template <class F>
int run(int argc, char** argv, F main)
{
    return detail::run_main(argc, argv, [&main](std::vector<std::string> arguments) { return detail::as_main(main, std::move(arguments)); });
}

/// Waits in a plain function: runs this thread's event loop until `work` is done and returns its result or throws its
/// exception.
///
/// For functions that are no coroutines, in workers or threads. On a thread that runs coproc's event loop already (in a
/// coroutine, say) it throws usage_error, since it would wait for itself: co_await there.
template <class T>
T sync_wait(task<T> work)
{
    if constexpr (std::is_void_v<T>)
        detail::run_until_done(std::move(work));
    else {
        std::optional<T> result;
        detail::run_until_done(detail::keep_result(std::move(work), result));
        return std::move(*result);
    }
}

} // namespace coproc
