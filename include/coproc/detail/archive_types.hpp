#pragma once

/// How the archives of serialize.hpp treat single types; found by argument-dependent lookup through their bases in
/// this namespace. Where cereal has a function for the same type, these are the more specialized ones.

#include <coproc/detail/large_buffer.hpp>
#include <coproc/serialize.hpp>

#include <array>
#include <complex>
#include <filesystem>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

namespace coproc::detail {

/// Types of which a contiguous run is copied as bytes, both ways. Not bool: a byte of a message may hold any value.
template <class T>
inline constexpr bool is_bulk = std::is_arithmetic_v<T> && !std::is_same_v<T, bool>;
template <class T>
    requires std::is_enum_v<T>
inline constexpr bool is_bulk<T> = is_bulk<std::underlying_type_t<T>>;
template <class T>
inline constexpr bool is_bulk<std::complex<T>> = is_bulk<T>;
template <class Rep, class Period>
inline constexpr bool is_bulk<std::chrono::duration<Rep, Period>> = is_bulk<Rep>;
template <class T, std::size_t N>
inline constexpr bool is_bulk<std::array<T, N>> = N != 0 && is_bulk<T>;

/// Classes that count as a level of nesting: all but the wrappers that cereal puts around each value.
template <class T>
inline constexpr bool is_level = std::is_class_v<T>;
template <class T>
inline constexpr bool is_level<cereal::NameValuePair<T>> = false;
template <class T>
inline constexpr bool is_level<cereal::SizeTag<T>> = false;
template <class T>
inline constexpr bool is_level<cereal::BinaryData<T>> = false;
template <class T>
inline constexpr bool is_level<cereal::memory_detail::PtrWrapper<T>> = false;
template <class T>
inline constexpr bool is_level<std::shared_ptr<T>> = false;
template <class T, class D>
inline constexpr bool is_level<std::unique_ptr<T, D>> = false;

template <class T>
void prologue(output_archive& archive, const T&)
{
    if constexpr (is_level<T>)
        archive.enter();
}

template <class T>
void epilogue(output_archive& archive, const T&)
{
    if constexpr (is_level<T>)
        archive.leave();
}

template <class T>
void prologue(input_archive& archive, const T&)
{
    if constexpr (is_level<T>)
        archive.enter();
}

template <class T>
void epilogue(input_archive& archive, const T&)
{
    if constexpr (is_level<T>)
        archive.leave();
}

// Numbers, and the wrappers that cereal's own functions for containers use.

template <class T>
    requires std::is_arithmetic_v<T>
void CEREAL_SAVE_FUNCTION_NAME(output_archive& archive, const T& value)
{
    archive.save_binary(&value, sizeof value);
}

template <class T>
    requires std::is_arithmetic_v<T>
void CEREAL_LOAD_FUNCTION_NAME(input_archive& archive, T& value)
{
    if constexpr (std::is_same_v<T, bool>) {
        const auto byte = std::to_integer<unsigned>(*archive.view(1));
        if (byte > 1)
            throw_malformed("neither true nor false");
        value = byte != 0;
    } else {
        archive.load_binary(&value, sizeof value);
    }
}

template <class T>
void CEREAL_SERIALIZE_FUNCTION_NAME(output_archive& archive, cereal::NameValuePair<T>& pair)
{
    archive(pair.value);
}

template <class T>
void CEREAL_SERIALIZE_FUNCTION_NAME(input_archive& archive, cereal::NameValuePair<T>& pair)
{
    archive(pair.value);
}

template <class T>
void CEREAL_SAVE_FUNCTION_NAME(output_archive& archive, const cereal::SizeTag<T>& tag)
{
    archive(static_cast<std::uint64_t>(tag.size));
}

template <class T>
void CEREAL_LOAD_FUNCTION_NAME(input_archive& archive, cereal::SizeTag<T>& tag)
{
    std::uint64_t count = 0;
    archive(count);
    archive.check_count(count);
    tag.size = static_cast<std::remove_cvref_t<T>>(count);
}

template <class T>
void CEREAL_SAVE_FUNCTION_NAME(output_archive& archive, const cereal::BinaryData<T>& data)
{
    archive.save_binary(data.data, static_cast<std::size_t>(data.size));
}

template <class T>
void CEREAL_LOAD_FUNCTION_NAME(input_archive& archive, cereal::BinaryData<T>& data)
{
    using element = std::remove_all_extents_t<std::remove_pointer_t<std::decay_t<T>>>;
    archive.load_binary(data.data, static_cast<std::size_t>(data.size));
    if constexpr (std::is_same_v<element, bool>) {
        auto* bytes = reinterpret_cast<unsigned char*>(data.data);
        for (std::size_t i = 0; i < static_cast<std::size_t>(data.size); ++i)
            if (bytes[i] > 1) {
                std::memset(bytes, 0, static_cast<std::size_t>(data.size));
                throw_malformed("neither true nor false");
            }
    }
}

// Containers: memory is taken as elements arrive, or after their bytes were seen to be there.

inline std::size_t load_count(input_archive& archive)
{
    std::uint64_t count = 0;
    archive(count);
    archive.check_count(count);
    return static_cast<std::size_t>(count);
}

/// The bytes of `count` elements of `size` bytes each, in place.
inline const std::byte* view_elements(input_archive& archive, std::size_t count, std::size_t size)
{
    if (count > archive.remaining() / size)
        throw_too_long(count, archive.remaining());
    return archive.view(count * size);
}

/// An element of type T at any address: a pointer to these is an iterator, so that a container can be assigned from a
/// message in one pass, without first giving each element a value.
template <class T>
struct unaligned {
    std::byte bytes[sizeof(T)];

    operator T() const noexcept
    {
        T value;
        std::memcpy(&value, bytes, sizeof value);
        return value;
    }
};

template <class T, class Container>
void assign_bulk(input_archive& archive, Container& container)
{
    const auto count = load_count(archive);
    const std::byte* bytes = view_elements(archive, count, sizeof(T));
    if (count * sizeof(T) >= large_buffer && container.capacity() < count) {
        container = Container(container.get_allocator());   // growing would copy what is about to be replaced
        container.reserve(count);
        expect_large_buffer(container.data(), count * sizeof(T));
    }
    if (reinterpret_cast<std::uintptr_t>(bytes) % alignof(T) == 0) {
        auto* elements = reinterpret_cast<const T*>(bytes);   // a memcpy inside, as T is trivially copyable
        container.assign(elements, elements + count);
    } else {
        auto* elements = reinterpret_cast<const unaligned<T>*>(bytes);
        container.assign(elements, elements + count);
    }
}

template <class T, class A>
    requires is_bulk<T>
void CEREAL_SAVE_FUNCTION_NAME(output_archive& archive, const std::vector<T, A>& vector)
{
    archive(static_cast<std::uint64_t>(vector.size()));
    archive.save_binary(vector.data(), vector.size() * sizeof(T));
}

template <class T, class A>
    requires is_bulk<T>
void CEREAL_LOAD_FUNCTION_NAME(input_archive& archive, std::vector<T, A>& vector)
{
    assign_bulk<T>(archive, vector);
}

template <class C, class Traits, class A>
void CEREAL_LOAD_FUNCTION_NAME(input_archive& archive, std::basic_string<C, Traits, A>& string)
{
    assign_bulk<C>(archive, string);
}

template <class Container>
void append_elements(input_archive& archive, Container& container)
{
    container.clear();
    for (auto left = load_count(archive); left != 0; --left)
        archive(container.emplace_back());
}

template <class T, class A>
    requires(!is_bulk<T> && !std::is_same_v<T, bool>)
void CEREAL_LOAD_FUNCTION_NAME(input_archive& archive, std::vector<T, A>& vector)
{
    append_elements(archive, vector);
}

template <class T, class A>
void CEREAL_LOAD_FUNCTION_NAME(input_archive& archive, std::deque<T, A>& deque)
{
    append_elements(archive, deque);
}

template <class T, class A>
void CEREAL_LOAD_FUNCTION_NAME(input_archive& archive, std::list<T, A>& list)
{
    append_elements(archive, list);
}

// cereal would reverse elements of equal keys.

template <class K, class V, class C, class A>
void CEREAL_LOAD_FUNCTION_NAME(input_archive& archive, std::multimap<K, V, C, A>& map)
{
    map.clear();
    for (auto left = load_count(archive); left != 0; --left) {
        K key{};
        V value{};
        archive(key, value);
        map.emplace_hint(map.end(), std::move(key), std::move(value));
    }
}

template <class K, class C, class A>
void CEREAL_LOAD_FUNCTION_NAME(input_archive& archive, std::multiset<K, C, A>& set)
{
    set.clear();
    for (auto left = load_count(archive); left != 0; --left) {
        K key{};
        archive(key);
        set.emplace_hint(set.end(), std::move(key));
    }
}

/// One for each type; its address tells types of shared objects apart.
template <class T>
inline constexpr char shared_type_tag = 0;

template <class T>
void CEREAL_LOAD_FUNCTION_NAME(input_archive& archive,
                               cereal::memory_detail::PtrWrapper<std::shared_ptr<T>&>& wrapper)
{
    archive.check_shared(&shared_type_tag<std::remove_cv_t<T>>);
    cereal::CEREAL_LOAD_FUNCTION_NAME(archive, wrapper);
}

inline void CEREAL_SAVE_FUNCTION_NAME(output_archive& archive, const std::filesystem::path& path)
{
    archive(path.native());
}

inline void CEREAL_LOAD_FUNCTION_NAME(input_archive& archive, std::filesystem::path& path)
{
    std::string native;
    archive(native);
    path = std::move(native);
}

}  // namespace coproc::detail
