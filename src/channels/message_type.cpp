#include <coproc/detail/message_type.hpp>

#include "wire/symbol_name.hpp"

#include <mutex>
#include <utility>

namespace coproc::detail {
namespace {

struct type_list_head {
    std::mutex mutex;
    message_type* first = nullptr;
};
type_list_head& known_types()
{
    static type_list_head& instance = *new type_list_head; // static objects of other files come before and leave after it
    return instance;
}

std::uint64_t fingerprint_of(const char* name)
{
    std::uint64_t hash = 0xcbf29ce484222325; // FNV-1a
    for (; *name; ++name)
        hash = (hash ^ static_cast<unsigned char>(*name)) * 0x100000001b3;
    return hash == bytes_fingerprint ? 1 : hash;
}

} // namespace

message_type::message_type(const std::type_info& of) : type{&of}, fingerprint{fingerprint_of(of.name())}
{
    auto& known = known_types();
    std::scoped_lock lock{known.mutex};
    next = std::exchange(known.first, this);
}

message_type::~message_type()
{
    auto& known = known_types();
    std::scoped_lock lock{known.mutex};
    for (auto** at = &known.first; *at; at = &(*at)->next)
        if (*at == this) {
            *at = next;
            return;
        }
}

std::string name_of_type(std::uint64_t fingerprint)
{
    if (fingerprint == bytes_fingerprint)
        return "bytes";
    auto& known = known_types();
    std::scoped_lock lock{known.mutex};
    for (auto* type = known.first; type; type = type->next)
        if (type->fingerprint == fingerprint)
            return readable_type(type->type->name());
    return "(unknown here)";
}

} // namespace coproc::detail
