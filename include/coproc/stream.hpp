// Values that come one after the other, each when it is asked for.
//
//     coproc::stream<int> ticks(std::chrono::milliseconds pause)
//     {
//         asio::steady_timer timer{co_await asio::this_coro::executor};
//         for (int i = 0;; ++i) {
//             timer.expires_after(pause);
//             co_await timer.async_wait(asio::use_awaitable);
//             co_yield i;
//         }
//     }
//
//     while (auto tick = co_await stream.next())
//         std::cout << *tick << '\n';
//
// Such a coroutine, a generator, has no event loop of its own. When it awaits something, it hands that to the next()
// that asked it for an item, which awaits it in its place and then resumes it:
//
//     the caller        next()                         the generator
//     ----------        ------                         -------------
//     co_await next --> resume ----------------------> runs to its next co_await or co_yield
//                       co_await what it handed over <-- co_await
//                       resume, with the result -----> goes on
//               item <--------------------------------- co_yield
//
// So a generator runs where its caller runs, and cancelling the caller cancels what the generator awaits.
#pragma once

#include <coproc/error.hpp>
#include <coproc/task.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/this_coro.hpp>

#include <concepts>
#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace coproc {

template <class T>
class stream;

namespace detail {

template <class T>
inline constexpr bool is_stream = false;
template <class T>
inline constexpr bool is_stream<stream<T>> = true;

/// What is behind a stream. next is awaited by one coroutine at a time, and not again once it gave nothing or threw;
/// the source lives until it is done.
template <class T>
struct stream_source {
    stream_source() = default;
    stream_source(const stream_source&) = delete;
    stream_source& operator=(const stream_source&) = delete;
    virtual ~stream_source() = default;
    virtual task<std::optional<T>> next() = 0;

private:
    friend class stream<T>;
    enum class state { rests, busy, ended } state_ = state::rests;
};

template <class T>
class generator_promise;

} // namespace detail

/// An asynchronous sequence of T. Movable; it is what a coroutine with co_yield returns, a generator.
///
/// A generator begins at the first next() and is suspended at its co_yield between two of them. It may await any
/// task<U> and asio::this_coro::executor, yields what converts to T, and ends with co_return or at its closing brace.
/// (g++ 12 destroys an aggregate twice that is made in the expression, as in `co_yield entry{name, size}`: give it a
/// name and yield that, by std::move.)
///
/// Lifetime: destroying a stream destroys what is behind it: of a generator its locals and arguments, which at its end
///           go at once. A next() in progress keeps it alive until that is done. References among its arguments,
///           and a lambda with captures that is one, must live as long as the stream; what a generator keeps of a loop,
///           such as a timer, must not live longer than the loop.
/// Loop:     each next() runs on its caller's executor, which may be another one each time; so does all that is awaited
///           for it. A generator that never awaits never lets the loop go on to something else.
/// Errors:   next() throws what left the generator, after the items before it; the stream has ended then.
/// Cancel:   cancelling next(), as in `stream.next() || timer.async_wait(use_awaitable)`, cancels what the generator
///           awaits, which throws operation_aborted there, as does all it awaits after that in the same next(). What
///           leaves the generator leaves next(), so that the stream has ended, unless the generator catches it. A
///           next() that is destroyed unfinished, with its loop, ends the stream too.
/// Threads:  not thread-safe, but next() may be called on another thread each time.
/// Cost:     measured with g++ 12 -O3: next() of a generator that does not await, 40 ns (of any coroutine, 15); each
///           co_await of something ready in it, 80 more. A stream is three allocations.
template <class T>
class stream {
    static_assert(std::is_object_v<T> && std::move_constructible<T>, "a stream's items are values, not references");

public:
    using value_type = T;
    using promise_type = detail::generator_promise<T>;

    stream() noexcept = default;
    explicit stream(std::unique_ptr<detail::stream_source<T>> from) : source_{std::move(from)} {}
    stream(stream&&) noexcept = default;
    stream& operator=(stream&&) noexcept = default;

    /// The next item; nothing once the stream has ended, also after an exception. One at a time: a second one that is
    /// awaited meanwhile throws usage_error.
    [[nodiscard]] task<std::optional<T>> next()
    {
        if (!source_)
            throw usage_error{"this stream is empty: it was made without a source, or it was moved away"};
        return pull(source_);
    }
    [[nodiscard]] bool valid() const noexcept { return source_ != nullptr; }

private:
    using source = detail::stream_source<T>;

    // While it lives, a next is in progress; the stream has ended then, unless there was an item.
    struct turn {
        explicit turn(source& s) noexcept : of{s} { of.state_ = source::state::busy; }
        turn(const turn&) = delete;
        turn& operator=(const turn&) = delete;
        ~turn() { of.state_ = after; }
        source& of;
        typename source::state after = source::state::ended;
    };
    static task<std::optional<T>> pull(std::shared_ptr<source> from)
    {
        if (from->state_ == source::state::busy)
            throw usage_error{"a next() of this stream is in progress: await it before the following one"};
        if (from->state_ == source::state::ended)
            co_return std::nullopt;
        turn now{*from};
        auto next = from->next(); // named: see "known traps" in the design page
        auto item = co_await std::move(next);
        if (item)
            now.after = source::state::rests;
        co_return item;
    }

    std::shared_ptr<source> source_; // shared with the next() that is in progress
};

namespace detail {

/// What a generator awaits, in its frame, until next() has awaited it in its place.
struct generator_wait {
    virtual task<> run() = 0;
    std::exception_ptr failure;

protected:
    ~generator_wait() = default;
};

template <class T>
class generator_promise {
public:
    generator_promise() noexcept {} // no aggregate, which would be made from the generator's arguments
    stream<T> get_return_object();
    std::suspend_always initial_suspend() const noexcept { return {}; }
    std::suspend_always final_suspend() const noexcept { return {}; }
    void unhandled_exception() noexcept { failure = std::current_exception(); }
    void return_void() const noexcept {}

    template <class U = T>
        requires std::convertible_to<U, T>
    std::suspend_always yield_value(U&& value)
    {
        item.emplace(std::forward<U>(value));
        return {};
    }

    template <class U>
    auto await_transform(task<U>&& work)
    {
        return wait_for<U>{std::move(work)};
    }
    auto await_transform(asio::this_coro::executor_t) noexcept { return ask_executor{}; }

    // Why it is suspended: one of these, or it is done.
    std::optional<T> item;
    generator_wait* wait = nullptr;
    asio::any_io_executor* executor = nullptr; ///< to be filled in
    std::exception_ptr failure;                ///< it ended by

private:
    using handle = std::coroutine_handle<generator_promise>;

    struct ask_executor {
        bool await_ready() const noexcept { return false; }
        void await_suspend(handle generator) noexcept { generator.promise().executor = &answer; }
        asio::any_io_executor await_resume() noexcept { return std::move(answer); }
        asio::any_io_executor answer{};
    };
    template <class U>
    class wait_for final : public generator_wait {
    public:
        explicit wait_for(task<U>&& work) noexcept : work_{std::move(work)} {}
        bool await_ready() const noexcept { return false; }
        void await_suspend(handle generator) noexcept { generator.promise().wait = this; }
        U await_resume()
        {
            if (failure)
                std::rethrow_exception(std::move(failure));
            if constexpr (!std::is_void_v<U>)
                return std::move(*result_);
        }
        task<> run() override
        {
            if constexpr (std::is_void_v<U>)
                co_await std::move(work_);
            else
                result_.emplace(co_await std::move(work_));
        }

    private:
        task<U> work_;
        std::optional<std::conditional_t<std::is_void_v<U>, char, U>> result_;
    };
};

/// A stream's source that is a coroutine.
template <class T>
class generator final : public stream_source<T> {
public:
    ~generator() override { end(); }
    void own(std::coroutine_handle<generator_promise<T>> frame) noexcept { frame_ = frame; }

    task<std::optional<T>> next() override
    {
        ending unless_item{*this};
        auto& promise = frame_.promise();
        for (;;) {
            frame_.resume();
            if (auto* executor = std::exchange(promise.executor, nullptr))
                *executor = co_await asio::this_coro::executor;
            else if (auto* wait = std::exchange(promise.wait, nullptr)) {
                try {
                    auto work = wait->run();
                    co_await std::move(work);
                } catch (...) {
                    wait->failure = std::current_exception();
                }
            } else if (promise.item) {
                unless_item.kept = true;
                co_return std::exchange(promise.item, std::nullopt);
            } else
                break;
        }
        if (auto failure = std::move(promise.failure))
            std::rethrow_exception(std::move(failure));
        co_return std::nullopt;
    }

private:
    // Destroys the frame when next is over, or is destroyed, and no item was there.
    struct ending {
        explicit ending(generator& g) noexcept : of{g} {}
        ending(const ending&) = delete;
        ending& operator=(const ending&) = delete;
        ~ending()
        {
            if (!kept)
                of.end();
        }
        generator& of;
        bool kept = false;
    };
    void end()
    {
        if (frame_)
            std::exchange(frame_, nullptr).destroy();
    }
    std::coroutine_handle<generator_promise<T>> frame_;
};

template <class T>
stream<T> generator_promise<T>::get_return_object()
{
    auto source = std::make_unique<generator<T>>();
    auto& owner = *source;
    stream<T> result{std::move(source)};
    owner.own(handle::from_promise(*this)); // last: if something above throws, the compiler destroys the frame
    return result;
}

} // namespace detail
} // namespace coproc
