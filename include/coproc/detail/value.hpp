#pragma once

#include <coproc/serialize.hpp>

#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

/// Single values (an argument, a result, an item) in a message of several.
///
/// cereal remembers shared pointers and class versions in its archive, so each value has an archive of its own on both
/// sides; it may then be moved from one message to another as bytes. Types that leave nothing behind in an archive
/// are spared that.
namespace coproc::detail {

template <class T>
inline constexpr bool leaves_no_trace = std::is_arithmetic_v<T> || std::is_enum_v<T> || is_bulk<T>;
template <class C, class Traits, class A>
inline constexpr bool leaves_no_trace<std::basic_string<C, Traits, A>> = true;
template <class T, class A>
inline constexpr bool leaves_no_trace<std::vector<T, A>> = leaves_no_trace<T>;
template <class T>
inline constexpr bool leaves_no_trace<std::optional<T>> = leaves_no_trace<T>;
template <class... T>
inline constexpr bool leaves_no_trace<std::tuple<T...>> = (leaves_no_trace<T> && ...);
template <class T, class U>
inline constexpr bool leaves_no_trace<std::pair<T, U>> = leaves_no_trace<T> && leaves_no_trace<U>;

/// Writes values, one after the other, that load_value reads together.
template <class... T>
void save_value(output_archive& archive, const T&... values)
{
    if constexpr ((leaves_no_trace<T> && ...)) {
        archive(values...);
    } else {
        output_archive own{archive.target()};
        own(values...);
    }
}

template <class... T>
void load_value(input_archive& archive, T&... values)
{
    if constexpr ((leaves_no_trace<T> && ...)) {
        archive(values...);
    } else {
        input_archive own{input_archive::continuation{archive}};
        own(values...);
        archive.skip_to(own);
    }
}

}  // namespace coproc::detail
