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

void replace_all(std::string& in, std::string_view what, std::string_view by)
{
    for (auto at = in.find(what); at != in.npos; at = in.find(what, at + by.size()))
        in.replace(at, what.size(), by);
}

// Removes each argument that begins like this, ", std::allocator<", up to the bracket that closes it.
void remove_arguments(std::string& in, std::string_view begin)
{
    for (auto at = in.find(begin); at != in.npos; at = in.find(begin, at)) {
        auto end = at + begin.size();
        for (int depth = 1; depth != 0 && end < in.size(); ++end)
            depth += in[end] == '<' ? 1 : in[end] == '>' ? -1 : 0;
        in.erase(at, end - at);
    }
}

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

std::string readable_type(const char* name)
{
    auto text = demangle(name);
    replace_all(text, "std::__cxx11::", "std::");
    remove_arguments(text, ", std::char_traits<");
    remove_arguments(text, ", std::allocator<");
    replace_all(text, " >", ">");
    replace_all(text, "std::basic_string<char>", "std::string");
    return text;
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
