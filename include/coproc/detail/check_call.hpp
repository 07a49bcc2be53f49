#pragma once

#include <coproc/bind_front.hpp>
#include <coproc/detail/callable.hpp>
#include <coproc/serialize.hpp>

#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

/// What makes a call impossible, said at compile time in one sentence for each mistake; all of them are here.
namespace coproc::detail {

/// Whether cereal saves and loads T. A standard container is what its elements are: cereal itself says yes to any.
template <class T>
struct serializable
    : std::bool_constant<!std::is_pointer_v<T> && !std::is_reference_v<T>
                         && ((std::is_empty_v<T> && std::is_class_v<T>)
                             || (cereal::traits::is_output_serializable<T, output_archive>::value
                                 && cereal::traits::is_input_serializable<T, input_archive>::value))> {};
template <class T>
    requires(std::is_arithmetic_v<T> || std::is_enum_v<T>)
struct serializable<T> : std::true_type {};
template <class C, class Traits, class A>
struct serializable<std::basic_string<C, Traits, A>> : std::true_type {};
template <class T>
    requires requires {
        typename T::allocator_type;
        typename T::value_type;
    }
struct serializable<T> : serializable<std::remove_cv_t<typename T::value_type>> {};
template <class T>
struct serializable<std::optional<T>> : serializable<T> {};
template <class T, std::size_t N>
struct serializable<std::array<T, N>> : serializable<T> {};
template <class T>
struct serializable<std::shared_ptr<T>> : serializable<std::remove_cv_t<T>> {};
template <class T, class D>
struct serializable<std::unique_ptr<T, D>> : serializable<std::remove_cv_t<T>> {};
template <class T, class U>
struct serializable<std::pair<T, U>>
    : std::conjunction<serializable<std::remove_cv_t<T>>, serializable<std::remove_cv_t<U>>> {};
template <class... T>
struct serializable<std::tuple<T...>> : std::conjunction<serializable<T>...> {};
template <class... T>
struct serializable<std::variant<T...>> : std::conjunction<serializable<T>...> {};
template <>
struct serializable<std::monostate> : std::true_type {};
template <class F, class... State>
struct serializable<bound_function<F, State...>> : std::conjunction<serializable<State>...> {};

template <class T>
inline constexpr bool is_serializable = serializable<std::remove_cv_t<T>>::value;

// The type in question stands in the name of the failed assertion's template.

template <class T>
constexpr bool cannot_be_serialized()
{
    static_assert(is_serializable<T>,
                  "coproc: this type cannot be sent to another process: give it a cereal serialize function "
                  "(see coproc/serialize.hpp)");
    return is_serializable<T>;
}

template <class T>
constexpr bool pointer_cannot_be_sent()
{
    static_assert(!std::is_pointer_v<T>,
                  "coproc: a raw pointer means nothing in another process: send the value, or a smart pointer to it");
    return !std::is_pointer_v<T>;
}

template <class T>
constexpr bool cannot_be_default_constructed()
{
    static_assert(std::is_default_constructible_v<T>,
                  "coproc: a type that is sent to another process is made there first, then loaded: give it a default "
                  "constructor");
    return std::is_default_constructible_v<T>;
}

template <class T>
constexpr bool check_value()
{
    if constexpr (pointer_cannot_be_sent<T>())
        if constexpr (cannot_be_serialized<T>())
            return cannot_be_default_constructed<T>();
    return false;
}

template <class F>
constexpr bool check_function()
{
    if constexpr (is_code_pointer<F> || std::is_member_pointer_v<F>) {
        return true;
    } else if constexpr (!std::is_class_v<F>) {
        static_assert(std::is_class_v<F>, "coproc: this is nothing that can be called");
        return false;
    } else if constexpr (std::is_empty_v<F>) {
        constexpr bool constructible = std::is_default_constructible_v<F> || std::is_trivially_copyable_v<F>;
        static_assert(constructible, "coproc: a function object that is sent needs a default constructor");
        return constructible;
    } else {
        constexpr bool ok = is_serializable<F>;
        static_assert(ok,
                      "coproc: a lambda with captures cannot be sent to another process: pass its state with "
                      "coproc::bind_front(f, state...); a function object needs a cereal serialize function");
        static_assert(!ok || std::is_default_constructible_v<F>,
                      "coproc: a function object that is sent needs a default constructor");
        return ok && std::is_default_constructible_v<F>;
    }
}
template <class F, class Bound>
constexpr bool check_bound()
{
    return check_function<F>();
}

/// Whether the number of arguments fits; callables without a signature take any number that they can be called with.
template <class F, std::size_t N>
inline constexpr bool takes = true;
template <class F, std::size_t N>
    requires has_parameters<F>
inline constexpr bool takes<F, N> = []<class... P>(type_list<P...>) {
    return sizeof...(P) + std::is_member_pointer_v<F> == N;
}(typename signature<F>::parameters{});

/// Whether the arguments convert to the parameters and the function takes what arrives.
template <class F, class Arguments, class Parameters>
inline constexpr bool fits = false;
template <class F, class... Args, class... P>
    requires(sizeof...(Args) == sizeof...(P))
inline constexpr bool fits<F, type_list<Args...>, type_list<P...>> =
    (is_argument_for<Args, P> && ...) && std::is_invocable_v<F&, passed_t<P>...>;

template <class Parameters>
inline constexpr bool check_parameters = false;
template <class... P>
inline constexpr bool check_parameters<type_list<P...>> = (check_value<stored_t<P>>() && ...);

template <class F, class... Args>
constexpr bool check_arguments()
{
    if constexpr (!takes<F, sizeof...(Args)>) {
        static_assert(takes<F, sizeof...(Args)>, "coproc: the function takes another number of arguments");
    } else {
        using parameters = parameters_of<F, Args...>;
        if constexpr (check_parameters<parameters>) {
            constexpr bool ok = fits<F, type_list<Args...>, parameters>;
            static_assert(ok, "coproc: the function cannot be called with arguments of these types");
            return ok;
        }
    }
    return false;
}

template <class F, class... Args>
constexpr bool check_callable()
{
    if constexpr (check_function<std::decay_t<F>>())
        return check_arguments<std::decay_t<F>, Args...>();
    return false;
}

/// Checks a body of a process: the result stays there.
template <class F, class... Args>
constexpr bool check_body()
{
    if constexpr (check_callable<F, Args...>()) {
        static_assert(!is_generator_call<F, Args...>,
                      "coproc: a function that returns a stream can only be called by pool.apply(f, args...), which gives its items");
        return !is_generator_call<F, Args...>;
    }
    return false;
}

/// Checks a task that is a generator, by its items.
template <class F, class... Args>
constexpr bool check_generator()
{
    if constexpr (check_callable<F, Args...>())
        return check_value<typename applied_t<F, Args...>::value_type>();
    return false;
}

/// Checks a task: false, after one readable static_assert, when f(args...) cannot run in another process.
template <class F, class... Args>
constexpr bool check_call()
{
    if constexpr (check_body<F, Args...>()) {
        using result = call_result_t<F, Args...>;
        if constexpr (std::is_void_v<result>)
            return true;
        else
            return check_value<result>();
    }
    return false;
}

}  // namespace coproc::detail
