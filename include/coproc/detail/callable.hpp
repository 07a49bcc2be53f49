#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <coproc/stream.hpp>
#include <coproc/task.hpp>

/// What a callable takes and gives, and how each of it travels. No bytes here: see entry.hpp.
namespace coproc::detail {

template <class...>
struct type_list {};

// Signatures: `parameters` is a type_list, absent for callables that take several kinds of arguments.

template <class F>
struct function_signature {};
template <class R, class... P>
struct function_signature<R(P...)> {
    using parameters = type_list<P...>;
};
template <class R, class... P>
struct function_signature<R(P...) noexcept> : function_signature<R(P...)> {};
template <class R, class... P>
struct function_signature<R(P...) const> : function_signature<R(P...)> {};
template <class R, class... P>
struct function_signature<R(P...) const noexcept> : function_signature<R(P...)> {};
template <class R, class... P>
struct function_signature<R(P...)&> : function_signature<R(P...)> {};
template <class R, class... P>
struct function_signature<R(P...) & noexcept> : function_signature<R(P...)> {};
template <class R, class... P>
struct function_signature<R(P...) const&> : function_signature<R(P...)> {};
template <class R, class... P>
struct function_signature<R(P...) const & noexcept> : function_signature<R(P...)> {};
template <class R, class... P>
struct function_signature<R(P...) &&> : function_signature<R(P...)> {};
template <class R, class... P>
struct function_signature<R(P...) && noexcept> : function_signature<R(P...)> {};

/// The signature of a decayed callable F. Of a member pointer it has `object` (the class) and the other parameters.
template <class F>
struct signature {};
template <class F>
    requires std::is_function_v<F>
struct signature<F*> : function_signature<F> {};
template <class M, class C>
struct signature<M C::*> : function_signature<M> {
    using object = C;
};
template <class M, class C>
    requires(!std::is_function_v<M>)
struct signature<M C::*> {
    using object = C;
    using parameters = type_list<>;
};
template <class M>
struct call_operator;
template <class M, class C>
struct call_operator<M C::*> : function_signature<M> {};
template <class F>
    requires(std::is_class_v<F> && requires { &F::operator(); })
struct signature<F> : call_operator<decltype(&F::operator())> {};

template <class F>
concept has_parameters = requires { typename signature<F>::parameters; };

/// `parameters` with the object of a member pointer in front; empty for callables without a signature.
template <class F>
struct all_parameters {
    using type = type_list<>;
};
template <class F>
    requires has_parameters<F>
struct all_parameters<F> {
    using type = typename signature<F>::parameters;
};
template <class Object, class Parameters>
struct with_object;
template <class Object, class... P>
struct with_object<Object, type_list<P...>> {
    using type = type_list<Object&, P...>;
};
template <class M, class C>
    requires requires { typename signature<M C::*>::parameters; }
struct all_parameters<M C::*> : with_object<C, typename signature<M C::*>::parameters> {};

/// The Nth type of a list; void beyond its end.
template <std::size_t N, class List>
struct nth {
    using type = void;
};
template <class First, class... Rest>
struct nth<0, type_list<First, Rest...>> {
    using type = First;
};
template <std::size_t N, class First, class... Rest>
    requires(N != 0)
struct nth<N, type_list<First, Rest...>> : nth<N - 1, type_list<Rest...>> {};

/// A list without its first N types.
template <std::size_t N, class List>
struct drop {
    using type = List;
};
template <std::size_t N, class First, class... Rest>
    requires(N != 0)
struct drop<N, type_list<First, Rest...>> : drop<N - 1, type_list<Rest...>> {};

// How a parameter travels: as a value that owns what it needs.

template <class T>
struct stored {
    using type = T;
};
template <class C, class Traits>
struct stored<std::basic_string_view<C, Traits>> {
    using type = std::basic_string<C, Traits>;
};
template <class C>
    requires(std::is_same_v<C, char> || std::is_same_v<C, wchar_t> || std::is_same_v<C, char8_t>
             || std::is_same_v<C, char16_t> || std::is_same_v<C, char32_t>)
struct stored<const C*> {
    using type = std::basic_string<C>;
};
template <class T, std::size_t N>
struct stored<std::span<T, N>> {
    using type = std::vector<std::remove_cv_t<T>>;
};

/// The type in which a parameter, argument or result of type T is sent: decayed, and owning its characters or elements.
template <class T>
using stored_t = typename stored<std::decay_t<T>>::type;

template <class T>
inline constexpr bool is_view = !std::is_same_v<stored_t<T>, std::decay_t<T>>;

/// What is handed to a parameter of type P, from the stored value: views by value, the rest as the parameter's kind of
/// reference.
template <class P>
using passed_t = std::conditional_t<is_view<P>, std::decay_t<P>,
                                    std::conditional_t<std::is_lvalue_reference_v<P>, stored_t<P>&, stored_t<P>&&>>;

template <class P>
passed_t<P> pass(stored_t<P>& value)
{
    if constexpr (!is_view<P>)
        return static_cast<passed_t<P>>(value);
    else if constexpr (std::is_pointer_v<std::decay_t<P>>)
        return value.c_str();
    else
        return std::decay_t<P>(value.data(), value.size());
}

/// Whether an argument of type A can become what is sent for a parameter of type P.
template <class A, class P>
inline constexpr bool is_argument_for = std::is_same_v<std::decay_t<A>, stored_t<P>>
    || std::is_convertible_v<A, std::decay_t<P>> || std::is_convertible_v<A, stored_t<P>>;

/// The argument as it is sent: itself when it has that type already, else converted as the language would for the
/// parameter.
template <class P, class A>
decltype(auto) convert(A&& argument)
{
    if constexpr (std::is_same_v<std::remove_cvref_t<A>, stored_t<P>>)
        return static_cast<const stored_t<P>&>(argument);
    else if constexpr (std::is_convertible_v<A, stored_t<P>>)
        return static_cast<stored_t<P>>(std::forward<A>(argument));
    else {
        auto view = static_cast<std::decay_t<P>>(std::forward<A>(argument));
        if constexpr (std::is_pointer_v<decltype(view)>)
            return stored_t<P>(view);
        else
            return stored_t<P>(view.begin(), view.end());
    }
}

// Which parameter types a call f(args...) uses.

/// The first of the two lists with which F can be invoked, else the first.
template <class F, class First, class Second>
struct first_invocable;
template <class F, class... A, class... B>
struct first_invocable<F, type_list<A...>, type_list<B...>> {
    using type = std::conditional_t<!std::is_invocable_v<F&, A...> && std::is_invocable_v<F&, B...>, type_list<B...>,
                                    type_list<A...>>;
};

template <class F, class... Args>
struct called_with : first_invocable<F, type_list<stored_t<Args>...>, type_list<stored_t<Args>&...>> {};
template <class F, class... Args>
    requires has_parameters<F>
struct called_with<F, Args...> {
    using type = typename signature<F>::parameters;
};
template <class Object, class F, class Parameters>
struct called_on;
template <class Object, class F, class... P>
struct called_on<Object, F, type_list<P...>>
    : first_invocable<F, type_list<stored_t<Object>, P...>, type_list<stored_t<Object>&, P...>> {};
template <class F, class Object, class... Args>
    requires std::is_member_pointer_v<F>
struct called_with<F, Object, Args...> : called_on<Object, F, typename signature<F>::parameters> {};

template <class F, class... Args>
using parameters_of = typename called_with<F, Args...>::type;

// What a call gives.

template <class T>
inline constexpr bool is_task = false;
template <class T, class Executor>
inline constexpr bool is_task<asio::awaitable<T, Executor>> = true;

template <class T>
struct awaited {
    using type = T;
};
template <class T, class Executor>
struct awaited<asio::awaitable<T, Executor>> {
    using type = T;
};

template <class F, class Parameters>
struct call_result;
template <class F, class... P>
struct call_result<F, type_list<P...>> {
    using type = void;   // check_call says what is wrong
    using direct = void;
};
template <class F, class... P>
    requires std::is_invocable_v<F&, passed_t<P>...>
struct call_result<F, type_list<P...>> {
    using direct = std::invoke_result_t<F&, passed_t<P>...>;
    using type = stored_t<typename awaited<direct>::type>;
};

/// What travels back from f(args...): decayed; task<R> gives R, views give what owns their elements, void stays void.
template <class F, class... Args>
using call_result_t = typename call_result<std::decay_t<F>, parameters_of<std::decay_t<F>, Args...>>::type;

/// The same as it leaves the function.
template <class F, class... Args>
using direct_result_t = typename call_result<std::decay_t<F>, parameters_of<std::decay_t<F>, Args...>>::direct;

/// Whether f(args...) is a coroutine: gives a task.
template <class F, class... Args>
inline constexpr bool is_coroutine_call = is_task<direct_result_t<F, Args...>>;

/// Whether f(args...) is a generator: gives a stream.
template <class F, class... Args>
inline constexpr bool is_generator_call = is_stream<direct_result_t<F, Args...>>;

/// What pool::apply gives: an awaitable of the result; of a generator a stream of its items, as they travel.
template <class Direct, class Result>
struct applied {
    using type = task<Result>;
};
template <class T, class Result>
struct applied<stream<T>, Result> {
    using item = stored_t<T>;
    using type = stream<item>;
};
template <class F, class... Args>
using applied_t = typename applied<direct_result_t<F, Args...>, call_result_t<F, Args...>>::type;

}  // namespace coproc::detail
