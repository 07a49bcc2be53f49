// One call of a pool as the pool sees it, whatever its types are.
#pragma once

#include <coproc/detail/entry.hpp>
#include <coproc/outcome.hpp>
#include <coproc/pool_options.hpp>
#include <coproc/serialize.hpp>
#include <coproc/task.hpp>
#include <coproc/task_statistics.hpp>

#include <cstddef>
#include <exception>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace coproc::detail {

inline constexpr std::size_t unknown_size = std::numeric_limits<std::size_t>::max();

/// A buffer for what goes to a worker: a large message is written where the worker will read it.
[[nodiscard]] buffer make_message();

/// Who waits for a job; the pool's own.
struct job_waiters;
/// Of a job whose task is a generator; see generator_job.hpp.
struct item_account;

/// A call: where its arguments come from and where its results go. The templates below know the types, the pool calls the
/// virtual functions, always one at a time.
class job {
public:
    explicit job(const call_options& options);
    job(const job&) = delete;
    job& operator=(const job&) = delete;
    virtual ~job();

    /// Writes the function (or its number, if it goes apart) and the arguments of the next calls to `body`: up to `most`,
    /// and none after the body has come to `bytes` bytes. Returns how many; fewer than `most` with room left means that
    /// there are no more.
    /// Throws what the input or its serialization throws.
    virtual std::size_t next(buffer& body, std::size_t most, std::size_t bytes) = 0;
    /// Reads the results of `count` calls, the first of which is the input's element `first`; of a generator, the next item.
    virtual void results(input_archive& from, std::size_t first, std::size_t count) = 0;
    /// One call has failed for good. True if the error is a result like any other.
    virtual bool keep_error(std::size_t, const std::exception_ptr&) { return false; }

    // Of a stream, whose results are taken one by one.
    /// Whether what comes next is there.
    virtual bool ready() const { return false; }
    /// Takes it out; it is ready. Returns how many elements were taken out so far.
    virtual std::size_t pop() { return 0; }
    /// Results that wait to be taken take as much memory as they should.
    virtual bool full() const { return false; }
    /// The input may have more later though it has nothing now.
    virtual bool more_later() const { return false; }

    std::size_t size = unknown_size; ///< how many calls in all, if known beforehand
    call_options options;            ///< chunk_size: as it is to be; name and tag: see below
    std::string name, tag;
    bool coroutine = false;
    /// Encoded with its state, if all messages call the same one. What is larger than `most_in_message` goes to each worker
    /// once, apart from them.
    std::shared_ptr<buffer> callee;
    [[nodiscard]] bool callee_goes_apart() const noexcept { return callee && callee->size() > most_in_message; }
    std::unique_ptr<item_account> items; ///< of a generator

    // The outcome, set by the pool.
    std::exception_ptr failure;
    std::optional<task_statistics> usage; ///< of the task that was measured last
    std::shared_ptr<job_waiters> waiters;

protected:
    /// The beginning of a body.
    void put_function(buffer& body) const
    {
        if (callee_goes_apart())
            return put_function_number(body);
        body.append(callee->data(), callee->size());
        if (!callee->attachments().empty())
            body.attachments() = callee->attachments();
    }

private:
    void put_function_number(buffer& body) const;

    // In a message, 1 KiB costs 0.7 µs each time; apart, 2 µs once for each worker.
    static constexpr std::size_t most_in_message = 1024;
};

/// One call with its arguments, encoded when it is made.
template <class R>
class single_job final : public job {
public:
    template <class F, class... Args>
    single_job(const call_options& asked, F&& f, Args&&... args) : job{asked}
    {
        using function = std::decay_t<F>;
        static_assert(check_call<function, Args...>());
        size = 1;
        coroutine = is_coroutine_call<function, Args...>;
        output_archive archive{body_};
        encode_task_function<function, Args...>(archive, f);
        encode_arguments(archive, f, std::forward<Args>(args)...);
    }
    ~single_job() noexcept override {} // a result may have a destructor that throws; here it ends the program

    std::size_t next(buffer& body, std::size_t, std::size_t) override
    {
        if (given_)
            return 0;
        given_ = true;
        body.swap(body_);
        return 1;
    }

    void results(input_archive& from, std::size_t, std::size_t) override
    {
        if constexpr (!std::is_void_v<R>)
            load_value(from, result_.emplace());
    }

    R take()
    {
        if constexpr (!std::is_void_v<R>)
            return std::move(*result_);
    }

private:
    struct nothing {};
    buffer body_ = make_message();
    bool given_ = false;
    std::optional<std::conditional_t<std::is_void_v<R>, nothing, R>> result_;
};

/// The input of a job: a range, whose elements are arguments or, spread, tuples of arguments.
template <class F, class View, bool Spread>
class range_job : public job {
public:
    range_job(const call_options& asked, const F& f, View view) : job{asked}, view_{std::move(view)}
    {
        static_assert(check());
        coroutine = coroutine_call<std::ranges::range_reference_t<View>>();
        if constexpr (std::ranges::sized_range<View>)
            size = static_cast<std::size_t>(std::ranges::size(view_));
        callee = std::make_shared<buffer>(make_message());
        output_archive archive{*callee};
        encode(archive, f, std::type_identity<element>{});
    }

    std::size_t next(buffer& body, std::size_t most, std::size_t bytes) override
    {
        if (!at_)
            at_.emplace(std::ranges::begin(view_));
        put_function(body);
        output_archive archive{body};
        std::size_t count = 0;
        for (auto end = std::ranges::end(view_); count < most && *at_ != end && (count == 0 || body.size() < bytes); ++*at_, ++count)
            save(archive, **at_);
        return count;
    }

private:
    using element = std::ranges::range_reference_t<View>;

    // Calls `use` with the arguments that one element stands for, as types.
    template <class E, class Use, std::size_t... I>
    static constexpr auto spread(Use use, std::index_sequence<I...>)
    {
        return use(std::type_identity<decltype(std::get<I>(std::declval<E>()))>{}...);
    }
    template <class E, class Use>
    static constexpr auto with_types(Use use)
    {
        if constexpr (Spread)
            return spread<E>(use, std::make_index_sequence<std::tuple_size_v<std::remove_cvref_t<E>>>{});
        else
            return use(std::type_identity<E>{});
    }
    static constexpr bool check()
    {
        return with_types<element>([]<class... A>(std::type_identity<A>...) { return check_call<F, A...>(); });
    }
    template <class E>
    static constexpr bool coroutine_call()
    {
        return with_types<E>([]<class... A>(std::type_identity<A>...) { return is_coroutine_call<F, A...>; });
    }
    template <class E>
    static void encode(output_archive& archive, const F& f, std::type_identity<E>)
    {
        with_types<E>([&]<class... A>(std::type_identity<A>...) { encode_task_function<F, A...>(archive, f); });
    }
    static void save(output_archive& archive, element&& e)
    {
        if constexpr (Spread)
            std::apply([&]<class... A>(A&&... a) { save_arguments(archive, parameters_of<F, A...>{}, std::forward<A>(a)...); }, std::forward<element>(e));
        else
            save_arguments(archive, parameters_of<F, element>{}, std::forward<element>(e));
    }

    View view_;
    std::optional<std::ranges::iterator_t<View>> at_;
};

/// What one call gives: a result, or the outcome with a job that collects.
template <class R, bool Collect>
using item_of = std::conditional_t<Collect, outcome<R>, R>;

template <class R, bool Collect>
item_of<R, Collect> load_item(input_archive& from)
{
    if constexpr (std::is_void_v<R>)
        return item_of<R, Collect>{std::in_place};
    else {
        R value{};
        load_value(from, value);
        if constexpr (Collect)
            return item_of<R, Collect>{std::in_place, std::move(value)};
        else
            return value;
    }
}

/// One call for each element of a range, whose results are a vector.
template <class R, class F, class View, bool Spread, bool Collect = false>
class map_job final : public range_job<F, View, Spread> {
    using item = item_of<R, Collect>;
    static constexpr bool gives = !std::is_void_v<item>;

public:
    map_job(const call_options& asked, const F& f, View view) : range_job<F, View, Spread>{asked, f, std::move(view)}
    {
        if constexpr (gives)
            if (this->size != unknown_size)
                results_.resize(this->size);
    }
    ~map_job() noexcept override {}

    void results(input_archive& from, std::size_t first, std::size_t count) override
    {
        if constexpr (gives) {
            make_room(first + count);
            for (std::size_t i = first; i < first + count; ++i)
                if constexpr (Collect || std::is_same_v<R, bool>)
                    results_[i] = load_item<R, Collect>(from);
                else
                    load_value(from, results_[i]);
        }
    }

    bool keep_error(std::size_t index, const std::exception_ptr& e) override
    {
        if constexpr (Collect) {
            make_room(index + 1);
            results_[index] = e;
        }
        return Collect;
    }

    auto take()
    {
        if constexpr (gives)
            return std::move(results_);
    }

private:
    struct nothing {};

    void make_room(std::size_t count)
    {
        if (results_.size() < count)
            results_.resize(count);
    }

    std::conditional_t<gives, std::vector<std::conditional_t<gives, item, int>>, nothing> results_;
};

} // namespace coproc::detail
