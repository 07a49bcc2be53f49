#include "wire/exception.hpp"

#include <coproc/detail/callable.hpp>
#include <coproc/detail/value.hpp>
#include <coproc/error.hpp>

#include "wire/remote_category.hpp"
#include "wire/symbol_name.hpp"
#include "wire/trace.hpp"

#include <any>
#include <cxxabi.h>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <system_error>
#include <type_traits>
#include <typeinfo>
#include <unistd.h>
#include <variant>

namespace coproc::detail {

namespace {

// The types that arrive as themselves, most derived first: the place in this list is the kind on the wire. All others
// arrive as the first of these that they derive from.
using known_types = type_list<
    usage_error, protocol_error, type_error, authentication_error, timeout_error, cancelled_error, worker_crashed, error,
    std::system_error, std::range_error, std::overflow_error, std::underflow_error, std::runtime_error,
    std::domain_error, std::invalid_argument, std::length_error, std::out_of_range, std::logic_error,
    std::bad_array_new_length, std::bad_alloc, std::bad_any_cast, std::bad_cast, std::bad_typeid, std::bad_exception,
    std::bad_function_call, std::bad_weak_ptr, std::bad_optional_access, std::bad_variant_access, std::exception>;

// Reason: a chain of nested exceptions that is a ring, or made by a loop, must end.
constexpr std::size_t max_causes = 64;

using shared_report = std::shared_ptr<const remote_error::report>;

template <class E>
class remote final : public E, public remote_error {
public:
    template <class... Args>
    explicit remote(shared_report what_happened, Args&&... args)
        : E(std::forward<Args>(args)...), remote_error{std::move(what_happened)}
    {
    }
    const char* what() const noexcept override { return remote_error::what(); }
};

// Everything that travels.
struct message {
    std::uint8_t kind = 0;
    remote_error::report report;
    std::int32_t code = 0;        // of a std::system_error
    std::string category;
    worker_crashed::report crash;

    template <class Archive>
    void serialize(Archive& archive)
    {
        archive(kind, report.what, report.type_name, report.task_name, report.trace, report.causes, report.pid,
                report.index, code, category);
        archive(crash.signal, crash.exit_code, crash.pid, crash.index, crash.task_name, crash.last_output);
    }
};

std::string text(const char* what) { return what ? what : ""; }

// The type of the exception that is being handled, without the wrapper of std::throw_with_nested.
std::string current_type_name()
{
    constexpr std::string_view wrapper = "std::_Nested_exception<";
    const std::type_info* type = abi::__cxa_current_exception_type();
    std::string name = type ? readable_type(type->name()) : "unknown";
    if (name.starts_with(wrapper) && name.ends_with('>'))
        name = name.substr(wrapper.size(), name.size() - wrapper.size() - 1);
    return name;
}

template <class... E>
std::uint8_t kind_of(const std::exception& e, type_list<E...>)
{
    std::uint8_t kind = 0;
    const auto is = [&](const auto* found) { return found != nullptr || (++kind, false); };
    const auto* address = std::addressof(e);
    const bool known = (is(dynamic_cast<const E*>(address)) || ...);
    return known ? kind : static_cast<std::uint8_t>(sizeof...(E) - 1);
}

template <class T, class... E>
consteval std::uint8_t index_in(type_list<E...>)
{
    std::uint8_t kind = 0;
    static_cast<void>(((std::is_same_v<T, E> ? true : (++kind, false)) || ...));
    return kind;
}

void describe_causes(const std::exception_ptr& exception, std::vector<std::string>& causes);

// What is thrown again here has one exception alive for each level, so that the depth is limited.
template <class E>
void describe_nested(const E& e, std::vector<std::string>& causes)
{
    if (const auto* nested = dynamic_cast<const std::nested_exception*>(std::addressof(e)))
        if (nested->nested_ptr() && causes.size() < max_causes)
            describe_causes(nested->nested_ptr(), causes);
}

void describe_causes(const std::exception_ptr& exception, std::vector<std::string>& causes)
{
    try {
        std::rethrow_exception(exception);
    } catch (const std::exception& e) {
        const auto* from_elsewhere = dynamic_cast<const remote_error*>(&e);
        causes.push_back((from_elsewhere ? from_elsewhere->type_name() : current_type_name()) + ": " + text(e.what()));
        if (from_elsewhere)
            causes.insert(causes.end(), from_elsewhere->causes().begin(), from_elsewhere->causes().end());
        describe_nested(e, causes);
    } catch (const std::nested_exception& e) {
        causes.push_back(current_type_name());
        describe_nested(e, causes);
    } catch (...) {
        causes.push_back(current_type_name());
    }
}

void describe(const std::exception& e, message& m)
{
    m.kind = kind_of(e, known_types{});
    m.report.what = text(e.what());
    if (const auto* system = dynamic_cast<const std::system_error*>(&e)) {
        m.code = system->code().value();
        m.category = system->code().category().name();
    }
    if (const auto* crash = dynamic_cast<const worker_crashed*>(&e))
        m.crash = {crash->signal(), crash->exit_code(), crash->pid(), crash->index(), crash->task_name(),
                   crash->last_output()};
    if (const auto* from_elsewhere = dynamic_cast<const remote_error*>(&e)) {
        m.report.type_name = from_elsewhere->type_name();
        m.report.causes = from_elsewhere->causes();
        m.report.pid = from_elsewhere->pid();
        m.report.trace = from_elsewhere->trace() + "in task " + from_elsewhere->task_name() + ", input "
            + std::to_string(from_elsewhere->index()) + ", process " + std::to_string(from_elsewhere->pid()) + '\n';
    }
    describe_nested(e, m.report.causes);
}

void describe(const std::exception_ptr& exception, message& m)
{
    m.kind = index_in<error>(known_types{});
    try {
        if (exception)
            std::rethrow_exception(exception);
        m.report.type_name = m.report.what = "no exception";
    } catch (const std::exception& e) {
        m.report.type_name = current_type_name();
        describe(e, m);
    } catch (const char* words) {
        m.report.type_name = current_type_name();
        m.report.what = text(words);
    } catch (const std::string& words) {
        m.report.type_name = current_type_name();
        m.report.what = words;
    } catch (const std::nested_exception& e) {
        m.report.type_name = current_type_name();
        m.report.what = "an exception of type " + m.report.type_name;
        describe_nested(e, m.report.causes);
    } catch (...) {
        m.report.type_name = current_type_name();
        m.report.what = "an exception of type " + m.report.type_name;
    }
}

template <class E>
std::exception_ptr make(const message& m, shared_report report)
{
    if constexpr (std::is_same_v<E, worker_crashed>)
        return std::make_exception_ptr(remote<E>{std::move(report), m.crash});
    else if constexpr (std::is_same_v<E, std::system_error>)
        return std::make_exception_ptr(
            remote<E>{std::move(report), std::error_code{m.code, category_named(m.category)}});
    else if constexpr (std::is_constructible_v<E, const std::string&>)
        return std::make_exception_ptr(remote<E>{report, report->what});
    else
        return std::make_exception_ptr(remote<E>{std::move(report)});
}

template <class... E>
std::exception_ptr make(const message& m, shared_report report, type_list<E...>)
{
    std::exception_ptr result;
    std::uint8_t kind = 0;
    static_cast<void>(((kind++ == m.kind ? (result = make<E>(m, std::move(report)), true) : false) || ...));
    return result;
}

}  // namespace

void encode_exception(output_archive& out, std::exception_ptr exception, const char* task_name, std::size_t index)
{
    message m;
    m.report.pid = ::getpid();
    describe(exception, m);
    m.report.task_name = text(task_name);
    m.report.index = index;
    m.report.trace.insert(0, trace_of(exception));
    save_value(out, m);
}

std::exception_ptr decode_exception(input_archive& in)
{
    message m;
    load_value(in, m);
    auto report = std::make_shared<const remote_error::report>(std::move(m.report));
    auto result = make(m, std::move(report), known_types{});
    if (!result)
        throw_malformed("an exception of no known kind");
    return result;
}

}  // namespace coproc::detail
