#pragma once

#include <coproc/detail/callable.hpp>
#include <coproc/serialize.hpp>

#include <array>
#include <bit>
#include <cstddef>
#include <cstring>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

/// How the state of a callable travels: nothing for lambdas without captures and other empty classes; for pointers the
/// module and the offset of their target in it; for classes what they serialize.
namespace coproc::detail {

/// Writes (build id of the module, offset, path of the module or nothing) for the function at `address`.
/// Throws: usage_error for null and for what is not the start of a function; it proposes a lambda.
void save_code(output_archive& archive, const void* address);

/// The address in this process. Throws protocol_error unless exactly a function of that module of that build begins
/// there; loads the module when it was loaded at run time on the other side.
const void* load_code(input_archive& archive);

/// The same for a pointer to a member function, given as its bytes (16, Itanium C++ ABI): a virtual one travels as its
/// place in the table, which is refused when out of range, as is an adjustment of `this` beyond the class.
void save_member_function(output_archive& archive, const void* pointer, std::size_t class_size);
void load_member_function(input_archive& archive, void* pointer, std::size_t class_size, bool polymorphic);

/// For a pointer to a data member of that size and alignment, given as its bytes (8). What lies in the class and is
/// aligned is accepted: C++ cannot tell which members there are.
void load_member_offset(input_archive& archive, void* pointer, std::size_t class_size, std::size_t size,
                        std::size_t alignment);

/// The name of the function at `address`, from the symbols of its module, demangled, without parameters; or
/// "module+0x1234".
std::string code_name(const void* address);

/// Refuses a call through a damaged pointer to a virtual function: `object` (of the pointer's class) must have a table
/// with the start of a function at that place. Throws protocol_error.
void check_virtual_call(const void* pointer, const void* object);

template <class F>
inline constexpr bool is_code_pointer = std::is_pointer_v<F> && std::is_function_v<std::remove_pointer_t<F>>;

template <class F>
void save_function(output_archive& archive, const F& f)
{
    if constexpr (is_code_pointer<F>) {
        save_code(archive, reinterpret_cast<const void*>(f));
    } else if constexpr (std::is_member_function_pointer_v<F>) {
        save_member_function(archive, &f, sizeof(typename signature<F>::object));
    } else if constexpr (std::is_member_object_pointer_v<F>) {
        archive.save_binary(&f, sizeof f);
    } else if constexpr (!std::is_empty_v<F>) {
        archive(f);
    }
}

template <class F>
F load_function(input_archive& archive)
{
    if constexpr (is_code_pointer<F>) {
        return reinterpret_cast<F>(const_cast<void*>(load_code(archive)));
    } else if constexpr (std::is_member_function_pointer_v<F>) {
        using object = typename signature<F>::object;
        F f;
        load_member_function(archive, &f, sizeof(object), std::is_polymorphic_v<object>);
        return f;
    } else if constexpr (std::is_member_object_pointer_v<F>) {
        using object = typename signature<F>::object;
        F f;
        using member = std::remove_reference_t<decltype(std::declval<object&>().*f)>;
        load_member_offset(archive, &f, sizeof(object), sizeof(member), alignof(member));
        return f;
    } else if constexpr (std::is_default_constructible_v<F>) {
        F f{};
        if constexpr (!std::is_empty_v<F>)
            archive(f);
        return f;
    } else {
        return std::bit_cast<F>(std::byte{});   // empty and trivially copyable: check_call has seen to it
    }
}

/// Lets `bound_function` show what it calls.
struct function_access {
    template <class F>
    static auto code(const F& f) -> decltype(f.code())
    {
        return f.code();
    }
};

/// The address that names what `f` calls; null where its type says it all.
template <class F>
const void* code_of(const F& f)
{
    if constexpr (is_code_pointer<F>) {
        return reinterpret_cast<const void*>(f);
    } else if constexpr (std::is_member_function_pointer_v<F>) {
        std::uintptr_t target = 0;
        std::memcpy(&target, &f, sizeof target);
        return target % 2 == 0 ? reinterpret_cast<const void*>(target) : nullptr;   // odd: virtual
    } else if constexpr (requires { function_access::code(f); }) {
        return function_access::code(f);
    } else {
        return nullptr;
    }
}

/// `...T = my::square]` of a compiler's spelling of a function with one template parameter T, cut to the type.
constexpr std::string_view type_in(std::string_view pretty)
{
    auto begin = pretty.find("= ");
    auto end = pretty.find_last_of(']');
    return begin < end ? pretty.substr(begin + 2, end - begin - 2) : pretty;
}

template <class T>
consteval auto type_spelling()
{
    constexpr std::string_view type = type_in(__PRETTY_FUNCTION__);
    std::array<char, type.size() + 1> text{};
    type.copy(text.data(), type.size());
    return text;
}

template <class T>
inline constexpr auto type_spelling_of = type_spelling<T>();

/// The type whose spelling names a callable of type F; bound_function is named as what it calls.
template <class F>
struct named_by {
    using type = F;
};

/// The type of a callable as the compiler spells it: "async_main()::<lambda(int)>". For a pointer see the overload.
template <class F>
const char* function_name()
{
    return type_spelling_of<typename named_by<F>::type>.data();
}

/// A readable name of a task, for errors: "square" for the function of that name.
template <class F>
std::string function_name(const F& f)
{
    const void* code = code_of(f);
    return code ? code_name(code) : function_name<F>();
}

}  // namespace coproc::detail
