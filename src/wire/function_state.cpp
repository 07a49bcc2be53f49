#include <coproc/detail/function_state.hpp>

#include <coproc/error.hpp>

#include "os/module.hpp"
#include "wire/symbol_name.hpp"

namespace coproc::detail {

namespace {

// Itanium C++ ABI 2.3; on ARM the mark of a virtual function is in the adjustment.
struct member_pointer {
    std::uintptr_t code;
    std::ptrdiff_t adjustment;

#if defined(__aarch64__) || defined(__arm__)
    bool is_virtual() const { return adjustment & 1; }
    std::uintptr_t table_offset() const { return code; }
    std::ptrdiff_t this_offset() const { return adjustment >> 1; }
    static member_pointer of_virtual(std::uintptr_t offset, std::ptrdiff_t by) { return {offset, by * 2 + 1}; }
    static member_pointer of_code(std::uintptr_t code, std::ptrdiff_t by) { return {code, by * 2}; }
#else
    bool is_virtual() const { return code & 1; }
    std::uintptr_t table_offset() const { return code - 1; }
    std::ptrdiff_t this_offset() const { return adjustment; }
    static member_pointer of_virtual(std::uintptr_t offset, std::ptrdiff_t by) { return {offset + 1, by}; }
    static member_pointer of_code(std::uintptr_t code, std::ptrdiff_t by) { return {code, by}; }
#endif
};

member_pointer read(const void* pointer)
{
    member_pointer result;
    std::memcpy(&result, pointer, sizeof result);
    return result;
}

// Reason: more virtual functions than any class has; what lies there is checked before it is called.
constexpr std::uintptr_t max_table_offset = 4096 * sizeof(void*);

bool in_range(const member_pointer& pointer, std::size_t class_size)
{
    return pointer.this_offset() >= 0 && static_cast<std::size_t>(pointer.this_offset()) < class_size
        && (!pointer.is_virtual()
            || (pointer.table_offset() <= max_table_offset && pointer.table_offset() % sizeof(void*) == 0));
}

// A function of a module that stays, found and checked.
struct target {
    std::uint64_t build_id = 0;
    std::uintptr_t offset = 0;
    const void* address = nullptr;
};

}  // namespace

void save_code(output_archive& archive, const void* address)
{
    thread_local target last;
    if (last.address == address && address) {
        archive(last.build_id, last.offset, std::string{});
        return;
    }
    if (!address)
        throw usage_error{"coproc: a null function pointer cannot be called in another process"};
    const auto home = find_module(address);
    if (!home || !is_function_start(*home, address))
        throw usage_error{"coproc: a pointer to code that is not the start of a function of a module cannot be sent to "
                          "another process: use a lambda that calls it"};
    const std::uintptr_t offset = reinterpret_cast<std::uintptr_t>(address) - home->bias;
    archive(home->build_id(), offset, home->at_start ? std::string{} : home->path);
    if (home->at_start)
        last = {home->build_id(), offset, address};
}

const void* load_code(input_archive& archive)
{
    std::uint64_t build_id = 0;
    std::uintptr_t offset = 0;
    std::string path;
    archive(build_id, offset, path);
    thread_local target last;
    if (last.address && build_id == last.build_id && offset == last.offset && path.empty())
        return last.address;
    auto home = find_module(build_id);
    if (!home && !path.empty())
        home = load_module(path, build_id);
    if (!home)
        throw protocol_error{"coproc: unknown function identity: the other side is a different build of "
                             + (path.empty() ? "this program or of one of its libraries" : path)};
    const auto* address = reinterpret_cast<const void*>(home->bias + offset);
    if (!home->contains(home->bias + offset) || !is_function_start(*home, address))
        throw_malformed("a function pointer to no function");
    if (home->at_start)
        last = {build_id, offset, address};
    return address;
}

void save_member_function(output_archive& archive, const void* pointer, std::size_t class_size)
{
    const auto member = read(pointer);
    if (!member.is_virtual() && member.code == 0)
        throw usage_error{"coproc: a null member function pointer cannot be called in another process"};
    if (!in_range(member, class_size))
        throw usage_error{"coproc: a pointer to a member function of another class cannot be sent to another process: "
                          "use a lambda that calls it"};
    archive(member.is_virtual(), static_cast<std::int64_t>(member.this_offset()));
    if (member.is_virtual())
        archive(member.table_offset());
    else
        save_code(archive, reinterpret_cast<const void*>(member.code));
}

void load_member_function(input_archive& archive, void* pointer, std::size_t class_size, bool polymorphic)
{
    bool is_virtual = false;
    std::int64_t adjustment = 0;
    std::uintptr_t table_offset = 0;
    archive(is_virtual, adjustment);
    if (adjustment < 0 || static_cast<std::uint64_t>(adjustment) >= class_size || (is_virtual && !polymorphic))
        throw_malformed("a member function pointer of another class");
    if (is_virtual)
        archive(table_offset);
    const auto member = is_virtual
        ? member_pointer::of_virtual(table_offset, adjustment)
        : member_pointer::of_code(reinterpret_cast<std::uintptr_t>(load_code(archive)), adjustment);
    if (!in_range(member, class_size))
        throw_malformed("a member function pointer out of range");
    std::memcpy(pointer, &member, sizeof member);
}

void load_member_offset(input_archive& archive, void* pointer, std::size_t class_size, std::size_t size,
                        std::size_t alignment)
{
    std::uint64_t offset = 0;
    archive(offset);
    if (size > class_size || offset > class_size - size || offset % alignment != 0)
        throw_malformed("a data member pointer out of range");
    std::memcpy(pointer, &offset, sizeof offset);
}

void check_virtual_call(const void* pointer, const void* object)
{
    const auto member = read(pointer);
    if (!member.is_virtual())
        return;
    std::uintptr_t slot = 0;
    std::memcpy(&slot, static_cast<const std::byte*>(object) + member.this_offset(), sizeof slot);
    slot += member.table_offset();
    const auto table_home = find_module(reinterpret_cast<const void*>(slot));
    const void* target = nullptr;
    if (table_home && table_home->contains(slot + sizeof slot - 1))
        std::memcpy(&target, reinterpret_cast<const void*>(slot), sizeof target);
    const auto home = target ? find_module(target) : nullptr;
    if (!home || !is_function_start(*home, target))
        throw_malformed("a virtual function that its class does not have");
}

std::string code_name(const void* address)
{
    const auto home = find_module(address);
    if (!home)
        return "unknown";
    return short_name(*home, reinterpret_cast<std::uintptr_t>(address));
}

}  // namespace coproc::detail
