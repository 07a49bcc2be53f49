#pragma once

#include "os/module.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace coproc::detail {

/// "std::vector<int, ...>" for "St6vectorIiE..."; the name itself when it is not mangled.
std::string demangle(const char* name);

/// The same of a type for people: "std::vector<std::string>", without the standard library's inner namespaces, allocators
/// and character traits.
std::string readable_type(const char* name);

/// The demangled name of the function that holds `address`, with its parameters; empty if it has no name.
std::string full_name(const module& in, std::uintptr_t address);

/// The same without parameters, template functions' result types and the compiler's remarks: "ns::parse"; else where it
/// is: "program+0x1234".
std::string short_name(const module& in, std::uintptr_t address);

/// "program+0x1234", as addr2line takes it.
std::string place_name(const module& in, std::uintptr_t address);

/// Cuts a demangled name as short_name does.
std::string_view without_parameters(std::string_view demangled);

}  // namespace coproc::detail
