#pragma once

#include <coproc/detail/callable.hpp>
#include <coproc/detail/check_call.hpp>
#include <coproc/detail/function_state.hpp>
#include <coproc/detail/kept_function.hpp>
#include <coproc/detail/value.hpp>
#include <coproc/stream.hpp>
#include <coproc/task.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

/// How a call gets from one process to another.
///
/// In this process:  encode_task_function(out, f); encode_arguments(out, f, args...) for each call
/// Out there:        const entry& e = decode_entry(in); e.plain(call) or co_await e.coroutine(call)
///
/// On the wire, a function is
///     u64  build id of the module that holds the entry, folded
///     u64  offset of the entry in it
///     u64  bytes of state that follow the path
///     u32  bytes of the path, 0 for modules loaded at program start
///     u32  check over all of this, path and state
///     path, state
/// No name and no address travels: names collide, addresses differ.
namespace coproc::detail {

/// One message being executed. The caller makes it, the entry reads and fills it.
struct invocation {
    input_archive& in;              ///< behind the identity: the function's state, then `count` tuples of arguments; only
                                    ///< these, if there is `function`
    output_archive& out;            ///< gets the results, one after the other
    std::size_t count = 1;
    std::size_t done = 0;           ///< results written: on an exception, the index of the argument tuple that failed,
                                    ///< and `out` ends with the last whole result
    int exit_code = 0;              ///< of a body
    const void* target = nullptr;   ///< the code that names the task, once the function was decoded; see task_name
    kept_function* function = nullptr; ///< that came apart from the message, if it did

    // A call that was asked to stop makes no further step; null: nobody asks.
    const std::atomic<std::uint64_t>* word = nullptr;
    std::uint64_t stop_word = 0;    ///< what the word is then

    /// Before each call of a message; throws cancelled_error.
    void check_stop() const
    {
        if (word && word->load(std::memory_order_relaxed) == stop_word) [[unlikely]]
            throw_stopped();
    }
    [[noreturn]] static void throw_stopped();
};

/// What a generator's entry yields each time that the next item has been added to the results.
struct item_written {};

/// A place to enter this program from a message: one for each kind of call that is compiled into it.
///
/// Made by the templates below as static objects, which add themselves before `main`, or when their library is
/// loaded, and leave with it. The registry does not own them. Thread-safe.
///
/// A process has one registry when coproc is a shared library, or when the program exports its static one to the
/// libraries that it loads (CMake: ENABLE_EXPORTS); else a library loaded at run time has a registry that nobody asks.
struct entry {
    void (*plain)(invocation&) = nullptr;          ///< one of these two is set
    task<> (*coroutine)(invocation&) = nullptr;    ///< of a generator: refuses, for it is called by the next one
    stream<item_written> (*generator)(invocation&) = nullptr;
    const char* name;                              ///< of the callable's type; see task_name

    entry(void (*run)(invocation&), const char* name_of_type);
    entry(task<> (*run)(invocation&), const char* name_of_type);
    entry(stream<item_written> (*run)(invocation&), const char* name_of_type);
    entry(const entry&) = delete;
    entry& operator=(const entry&) = delete;
    ~entry();

    // The registry's own, under its lock unless atomic.
    mutable std::atomic<const void*> identity{nullptr};   ///< found at the first call
    entry* next = nullptr;
    entry* previous = nullptr;
};

/// The entry that a message is for; leaves `in` at the function's state.
/// Throws: protocol_error "unknown function identity ..." or "the other side is a different build ...", nothing executed.
const entry& decode_entry(input_archive& in);

/// A readable name for the task that `call` executes.
std::string task_name(const entry& e, const invocation& call);

/// Begin and end of a function on the wire; between them its state is written.
std::size_t begin_function(output_archive& out, const entry& e);
void end_function(output_archive& out, std::size_t begin);

/// Takes back what was written to the message unless it was kept.
class partial_result {
public:
    explicit partial_result(buffer& target) noexcept
        : target_{target}, size_{target.size()}, attachments_{target.attachments().size()}
    {
    }
    partial_result(const partial_result&) = delete;
    partial_result& operator=(const partial_result&) = delete;
    ~partial_result()
    {
        if (!kept_)
            target_.shrink_to(size_, attachments_);
    }
    void keep() noexcept { kept_ = true; }

private:
    buffer& target_;
    std::size_t size_, attachments_;
    bool kept_ = false;
};

template <class... P>
using stored_arguments = std::tuple<stored_t<P>...>;

template <class... T>
void load_arguments(input_archive& in, std::tuple<T...>& values)
{
    std::apply([&](auto&... value) { load_value(in, value...); }, values);
}

/// Refuses a pointer to a virtual function that the object does not have, before it is called.
template <class F, class... T>
void check_target(const F& f, const std::tuple<T...>& values)
{
    if constexpr (std::is_member_function_pointer_v<F> && sizeof...(T) != 0) {
        using object = typename signature<F>::object;
        if constexpr (std::is_polymorphic_v<object>) {
            const auto& first = std::get<0>(values);
            if constexpr (std::is_base_of_v<object, std::remove_cvref_t<decltype(first)>>)
                check_virtual_call(&f, static_cast<const object*>(std::addressof(first)));
            else if constexpr (requires { *first; })
                check_virtual_call(&f, static_cast<const object*>(std::addressof(*first)));
        }
    }
}

/// Whether f(args...) changes nothing in f itself: calling a const one does the same.
template <class F, class Parameters>
inline constexpr bool only_reads = false;
template <class F, class... P>
    requires(std::is_class_v<F> && !std::is_empty_v<F> && std::is_invocable_v<const F&, passed_t<P>...>)
inline constexpr bool only_reads<F, type_list<P...>> =
    std::is_same_v<std::invoke_result_t<const F&, passed_t<P>...>, std::invoke_result_t<F&, passed_t<P>...>>;

/// The function that a task message calls, decoded: its own, or one that came apart from it.
template <class F, class Parameters>
class called_function {
public:
    explicit called_function(invocation& call) : f_{call.function ? call.function->load<F>() : load_function<F>(call.in)} {}
    called_function(const called_function&) = delete;
    called_function& operator=(const called_function&) = delete;

    F& operator*() noexcept { return f_; }

private:
    F f_;
};

/// The same when calls only read it, and what came apart is shared by them.
template <class F, class Parameters>
    requires only_reads<F, Parameters>
class called_function<F, Parameters> {
public:
    explicit called_function(invocation& call)
        : own_{call.function ? nullptr : std::make_unique<const F>(load_function<F>(call.in))},
          f_{own_ ? own_.get() : &call.function->shared<F>()}
    {
    }
    called_function(const called_function&) = delete;
    called_function& operator=(const called_function&) = delete;

    const F& operator*() const noexcept { return *f_; }

private:
    std::unique_ptr<const F> own_;
    const F* f_;
};

/// The calls of a task message: `count` tuples, each with a result.
template <class F, class Parameters, class Indices>
struct task_calls;
template <class F, class... P, std::size_t... I>
struct task_calls<F, type_list<P...>, std::index_sequence<I...>> {
    using shape = call_result<F, type_list<P...>>;
    using result = typename shape::type;
    static constexpr bool gives = !std::is_void_v<result>;

    static void run(invocation& call)
    {
        called_function<F, type_list<P...>> function{call};
        auto& f = *function;
        call.target = code_of(f);
        for (; call.done < call.count; ++call.done) {
            call.check_stop();
            partial_result partial{call.out.target()};
            stored_arguments<P...> values;
            load_arguments(call.in, values);
            check_target(f, values);
            if constexpr (gives)
                save_value(call.out, convert<typename shape::direct>(std::invoke(f, pass<P>(std::get<I>(values))...)));
            else
                std::invoke(f, pass<P>(std::get<I>(values))...);
            partial.keep();
        }
    }

    static task<> run_coroutine(invocation& call)
    {
        called_function<F, type_list<P...>> function{call};
        auto& f = *function;
        call.target = code_of(f);
        for (; call.done < call.count; ++call.done) {
            call.check_stop();
            stored_arguments<P...> values;
            load_arguments(call.in, values);
            check_target(f, values);
            if constexpr (gives) {
                auto&& value = co_await std::invoke(f, pass<P>(std::get<I>(values))...);
                partial_result partial{call.out.target()};
                save_value(call.out, convert<typename awaited<typename shape::direct>::type>(
                                         std::forward<decltype(value)>(value)));
                partial.keep();
            } else {
                co_await std::invoke(f, pass<P>(std::get<I>(values))...);
            }
        }
    }
};

/// The call of a task message whose function is a generator: one tuple, any number of items.
template <class F, class Parameters, class Indices>
struct generator_call;
template <class F, class... P, std::size_t... I>
struct generator_call<F, type_list<P...>, std::index_sequence<I...>> {
    static stream<item_written> run_generator(invocation& call)
    {
        F f = load_function<F>(call.in);
        call.target = code_of(f);
        stored_arguments<P...> values;
        load_arguments(call.in, values);
        check_target(f, values);
        auto items = std::invoke(f, pass<P>(std::get<I>(values))...);
        using item_type = typename decltype(items)::value_type;
        for (;;) {
            auto next = items.next();
            auto item = co_await std::move(next);
            if (!item)
                break;
            partial_result partial{call.out.target()};
            save_value(call.out, convert<item_type>(*std::move(item)));
            partial.keep();
            co_yield item_written{};
        }
        ++call.done;
    }
};

/// The call of a process's body: one tuple, no result but the exit code.
template <class F, class Parameters, class Indices>
struct body_call;
template <class F, class... P, std::size_t... I>
struct body_call<F, type_list<P...>, std::index_sequence<I...>> {
    using direct = typename call_result<F, type_list<P...>>::direct;

    static void run(invocation& call)
    {
        F f = load_function<F>(call.in);
        call.target = code_of(f);
        stored_arguments<P...> values;
        load_arguments(call.in, values);
        check_target(f, values);
        if constexpr (std::is_same_v<direct, int>)
            call.exit_code = std::invoke(f, pass<P>(std::get<I>(values))...);
        else
            static_cast<void>(std::invoke(f, pass<P>(std::get<I>(values))...));
        ++call.done;
    }

    static task<> run_coroutine(invocation& call)
    {
        F f = load_function<F>(call.in);
        call.target = code_of(f);
        stored_arguments<P...> values;
        load_arguments(call.in, values);
        check_target(f, values);
        if constexpr (std::is_same_v<typename awaited<direct>::type, int>)
            call.exit_code = co_await std::invoke(f, pass<P>(std::get<I>(values))...);
        else
            static_cast<void>(co_await std::invoke(f, pass<P>(std::get<I>(values))...));
        ++call.done;
    }
};

template <class Calls, bool IsCoroutine>
constexpr auto runner()
{
    if constexpr (requires { &Calls::run_generator; })
        return &Calls::run_generator;
    else if constexpr (IsCoroutine)
        return &Calls::run_coroutine;
    else
        return &Calls::run;
}

/// The static object that makes a kind of call known. Hidden: each module has its own, which comes and goes with it.
template <template <class, class, class> class Calls, class F, class Parameters>
struct [[gnu::visibility("hidden")]] entry_for;
template <template <class, class, class> class Calls, class F, class... P>
struct [[gnu::visibility("hidden")]] entry_for<Calls, F, type_list<P...>> {
    using calls = Calls<F, type_list<P...>, std::index_sequence_for<P...>>;
    static constexpr bool coroutine = is_task<typename call_result<F, type_list<P...>>::direct>;

    [[gnu::visibility("hidden")]] static inline entry record{runner<calls, coroutine>(), function_name<F>()};
};

/// Writes which function is called, with its state; see the layout above. F: decayed.
template <class F, class... Args>
void encode_task_function(output_archive& out, const F& f)
{
    const auto begin = begin_function(out, entry_for<task_calls, F, parameters_of<F, Args...>>::record);
    save_function(out, f);
    end_function(out, begin);
}

/// The same for a generator.
template <class F, class... Args>
void encode_generator_function(output_archive& out, const F& f)
{
    const auto begin = begin_function(out, entry_for<generator_call, F, parameters_of<F, Args...>>::record);
    save_function(out, f);
    end_function(out, begin);
}

/// The same for the body of a process.
template <class F, class... Args>
void encode_body_function(output_archive& out, const F& f)
{
    const auto begin = begin_function(out, entry_for<body_call, F, parameters_of<F, Args...>>::record);
    save_function(out, f);
    end_function(out, begin);
}

template <class... P, class... Args>
void save_arguments(output_archive& out, type_list<P...>, Args&&... args)
{
    save_value<stored_t<P>...>(out, convert<P>(std::forward<Args>(args))...);
}

/// Writes the arguments of one call, converted to the parameters of `f` first.
/// Cost: an argument of the parameter's own type is not copied on the way.
template <class F, class... Args>
void encode_arguments(output_archive& out, const F&, Args&&... args)
{
    save_arguments(out, parameters_of<std::decay_t<F>, Args...>{}, std::forward<Args>(args)...);
}

}  // namespace coproc::detail
