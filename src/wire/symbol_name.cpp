#include "wire/symbol_name.hpp"

#include <charconv>
#include <cstdlib>
#include <cxxabi.h>
#include <memory>
#include <unistd.h>

namespace coproc::detail {

namespace {

bool opens(char c) { return c == '(' || c == '<' || c == '[' || c == '{'; }
bool closes(char c) { return c == ')' || c == '>' || c == ']' || c == '}'; }

std::string file_name(const module& in)
{
    std::string path = in.path;
    if (path == "/proc/self/exe") {
        char target[4096];
        const auto n = ::readlink(path.c_str(), target, sizeof target);
        if (n > 0)
            path.assign(target, static_cast<std::size_t>(n));
    }
    return path.substr(path.rfind('/') + 1);
}

}  // namespace

std::string demangle(const char* name)
{
    int status = 0;
    const std::unique_ptr<char, decltype(&std::free)> text{abi::__cxa_demangle(name, nullptr, nullptr, &status),
                                                           &std::free};
    return text ? text.get() : name;
}

std::string_view without_parameters(std::string_view name)
{
    if (const auto remark = name.find(" [clone"); remark != name.npos)
        name = name.substr(0, remark);
    if (name.find("operator") != name.npos)   // whose own names hold brackets and spaces
        return name;
    // The last bracket at the outermost level that opens a list of parameters: behind a name, not in front of "::".
    int depth = 0;
    std::size_t cut = name.npos, begin = 0;
    for (std::size_t i = 0; i < name.size(); ++i) {
        if (depth == 0 && name[i] == '(' && i != 0 && name[i - 1] != ':' && name[i - 1] != ' ') {
            cut = i;
            break;
        }
        if (opens(name[i]))
            ++depth;
        else if (closes(name[i]))
            --depth;
        else if (depth == 0 && name[i] == ' ')
            begin = i + 1;
    }
    if (cut == name.npos)
        return name;
    // What follows is part of the name when the bracket was that of an enclosing function: "main::{lambda(int)#1}".
    return name.find(")::", cut) == name.npos || name.find(".Frame") != name.npos ? name.substr(begin, cut - begin) : name;
}

std::string full_name(const module& in, std::uintptr_t address)
{
    const auto mangled = in.symbols().name_at(address - in.bias);
    return mangled.empty() ? std::string{} : demangle(mangled.data());
}

std::string place_name(const module& in, std::uintptr_t address)
{
    char digits[16];
    const auto end = std::to_chars(digits, digits + sizeof digits, address - in.bias, 16).ptr;
    return file_name(in) + "+0x" + std::string(digits, end);
}

std::string short_name(const module& in, std::uintptr_t address)
{
    const auto name = full_name(in, address);
    return name.empty() ? place_name(in, address) : std::string{without_parameters(name)};
}

}  // namespace coproc::detail
