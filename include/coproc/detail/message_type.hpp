// Which type a message on a connection has.
#pragma once

#include <cstdint>
#include <string>
#include <typeinfo>

namespace coproc::detail {

/// A type that messages of this program may have; static objects of the template below, one for each type that is sent or
/// received somewhere. They add themselves before `main`, or when their library is loaded, and leave with it.
struct message_type {
    explicit message_type(const std::type_info& type);
    ~message_type();
    message_type(const message_type&) = delete;
    message_type& operator=(const message_type&) = delete;

    const std::type_info* type;
    std::uint64_t fingerprint; ///< of the mangled name: the same in all processes, on all machines, of one ABI; never 0
    message_type* next = nullptr;
};

template <class T>
struct [[gnu::visibility("hidden")]] message_type_of {
    [[gnu::visibility("hidden")]] static inline const message_type record{typeid(T)};
};

/// Bytes, which are of no type.
inline constexpr std::uint64_t bytes_fingerprint = 0;

/// A readable name for the type with this fingerprint, as far as this process knows it.
std::string name_of_type(std::uint64_t fingerprint);

} // namespace coproc::detail
