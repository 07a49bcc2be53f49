// What tells types apart in messages and in shared memory.
#pragma once

#include <coproc/detail/function_state.hpp>

#include <cstdint>
#include <string_view>
#include <type_traits>

namespace coproc::detail {

/// A number for T's name, size and alignment, the same in all processes of a program (of programs, if one compiler made
/// them). Types of the same name in different unnamed namespaces differ only if they differ in size.
template <class T>
inline constexpr std::uint64_t fingerprint = [] {
    std::uint64_t hash = 14695981039346656037u; // FNV-1a of 64 bits
    auto add = [&](std::uint64_t byte) { hash = (hash ^ byte) * 1099511628211u; };
    for (char c : std::string_view{type_spelling_of<T>.data()})
        add(static_cast<unsigned char>(c));
    add(sizeof(T));
    add(alignof(T));
    return hash;
}();

} // namespace coproc::detail
