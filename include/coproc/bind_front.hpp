#pragma once

#include <coproc/detail/function_state.hpp>

#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace coproc {

namespace detail {

/// How a state of type T is lent to a parameter of type P (void: unknown): as an lvalue, characters as a pointer.
template <class P, class T>
decltype(auto) lend(T& value)
{
    if constexpr (std::is_pointer_v<std::decay_t<P>> && requires { value.c_str(); })
        return value.c_str();
    else
        return (value);
}

}  // namespace detail

/// A function with its first arguments, as a value that can be sent to another process. See bind_front.
///
/// Thread safety: as F and State; calling a const one from several threads is safe when that is safe for F.
template <class F, class... State>
class bound_function {
    template <std::size_t I>
    using parameter = typename detail::nth<I, typename detail::all_parameters<F>::type>::type;

    template <class Self, std::size_t... I, class... Args>
    static auto call(Self& self, std::index_sequence<I...>, Args&&... args)
        -> decltype(std::invoke(self.f_, detail::lend<parameter<I>>(std::get<I>(self.state_))...,
                                std::forward<Args>(args)...))
    {
        return std::invoke(self.f_, detail::lend<parameter<I>>(std::get<I>(self.state_))...,
                           std::forward<Args>(args)...);
    }

    F f_{};
    std::tuple<State...> state_;

public:
    bound_function() = default;

    /// Owns `f` and the state.
    explicit bound_function(F f, State... state) : f_(std::move(f)), state_(std::move(state)...) {}

    /// Calls f(state..., args...); the state is passed as lvalues of this object, as std::bind_front does.
    template <class... Args>
    auto operator()(Args&&... args)
        -> decltype(call(*this, std::index_sequence_for<State...>{}, std::forward<Args>(args)...))
    {
        return call(*this, std::index_sequence_for<State...>{}, std::forward<Args>(args)...);
    }
    template <class... Args>
    auto operator()(Args&&... args) const
        -> decltype(call(*this, std::index_sequence_for<State...>{}, std::forward<Args>(args)...))
    {
        return call(*this, std::index_sequence_for<State...>{}, std::forward<Args>(args)...);
    }

private:
    friend class cereal::access;
    friend struct detail::function_access;

    const void* code() const { return detail::code_of(f_); }

    void save(output_archive& archive) const
    {
        detail::save_function(archive, f_);
        std::apply([&](const auto&... state) { archive(state...); }, state_);
    }

    void load(input_archive& archive)
    {
        f_ = detail::load_function<F>(archive);
        std::apply([&](auto&... state) { archive(state...); }, state_);
    }
};

/// Binds the first arguments of `f`, so that the rest can be called in another process: the way to give state to a
/// task, where a lambda would capture.
///
/// Shape:  bind_front(f, a)(b) calls f(a, b). `f` is what a task may be: a function, a member function (the first
///         state is its object), a lambda without captures, a serializable function object.
/// State:  copied or moved, decayed; a string literal is kept as std::string. It is encoded once for a call. Up to 1 KiB
///         travels with each message (some tasks of a map); more goes to each worker once, and leaves it when the call
///         ends.
/// Change: what `f` takes by value or as const is decoded once in a worker, and each task there finds it as it was sent
///         (what is mutable in it, or reached through a pointer such as std::shared_ptr, is shared by them). A state that
///         `f` could change, as it takes it by a reference that is not const, is decoded for each message anew: tasks of
///         one message see each other's changes, no others.
/// Example: pool.map(coproc::bind_front(row_sum, matrix), rows)
template <class F, class... State>
[[nodiscard]] bound_function<std::decay_t<F>, detail::stored_t<State>...> bind_front(F&& f, State&&... state)
{
    return bound_function<std::decay_t<F>, detail::stored_t<State>...>{
        std::forward<F>(f), detail::convert<State>(std::forward<State>(state))...};
}

namespace detail {

template <class F, class... State>
    requires has_parameters<F>
struct signature<bound_function<F, State...>> {
    using parameters = typename drop<sizeof...(State), typename all_parameters<F>::type>::type;
};

template <class F, class... State>
struct named_by<bound_function<F, State...>> : named_by<F> {};

}  // namespace detail

}  // namespace coproc
