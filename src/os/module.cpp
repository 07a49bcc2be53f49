#include "os/module.hpp"

#include "os/elf_file.hpp"

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <link.h>
#include <mutex>

namespace coproc::detail {

namespace {

std::string absolute(const char* name, bool program)
{
    if (program)
        return "/proc/self/exe";
    std::string result = name;
    if (char* real = name[0] == '/' ? nullptr : ::realpath(name, nullptr)) {
        result = real;
        std::free(real);
    }
    return result;
}

module_ptr read_module(const dl_phdr_info& info, bool program)
{
    auto result = std::make_shared<module>();
    result->bias = info.dlpi_addr;
    result->path = absolute(info.dlpi_name ? info.dlpi_name : "", program);
    for (std::size_t i = 0; i < info.dlpi_phnum; ++i) {
        const auto& segment = info.dlpi_phdr[i];
        const auto begin = result->bias + segment.p_vaddr;
        if (segment.p_type == PT_LOAD) {
            result->segments.push_back({begin, begin + segment.p_memsz, (segment.p_flags & PF_X) != 0});
        } else if (segment.p_type == PT_GNU_EH_FRAME) {
            result->unwind_table = reinterpret_cast<const std::byte*>(begin);
            result->unwind_table_size = segment.p_memsz;
        } else if (segment.p_type == PT_NOTE && result->noted_build_id == 0) {
            result->noted_build_id = build_id_in_notes(reinterpret_cast<const std::byte*>(begin), segment.p_memsz);
        }
    }
    return result;
}

// What the dynamic linker had when it had added and removed `generation` modules.
class module_list {
public:
    // Leaked: asked for by static objects in any order, also at exit.
    static module_list& instance()
    {
        static auto& list = *new module_list;
        return list;
    }

    template <class Predicate>
    module_ptr find(Predicate matches)
    {
        const std::lock_guard lock{mutex_};
        refresh();
        const auto found = std::ranges::find_if(modules_, [&](const auto& m) { return matches(*m); });
        return found == modules_.end() ? nullptr : *found;
    }

private:
    module_list() { refresh(); }

    void refresh()
    {
        unsigned long long now = 0;
        ::dl_iterate_phdr(
            [](dl_phdr_info* info, std::size_t, void* result) {
                *static_cast<unsigned long long*>(result) = info->dlpi_adds + info->dlpi_subs;
                return 1;
            },
            &now);
        if (now == generation_)
            return;
        struct reading {
            std::vector<module_ptr> modules;
            unsigned long long generation = 0;
        } fresh;
        ::dl_iterate_phdr(
            [](dl_phdr_info* info, std::size_t, void* result) {
                auto& [modules, generation] = *static_cast<reading*>(result);
                modules.push_back(read_module(*info, modules.empty()));
                generation = info->dlpi_adds + info->dlpi_subs;
                return 0;
            },
            &fresh);
        for (auto& m : fresh.modules) {
            const auto old = std::ranges::find_if(modules_, [&](const auto& known) {
                return known->bias == m->bias && known->path == m->path && known->noted_build_id == m->noted_build_id;
            });
            if (old != modules_.end() && (m->noted_build_id != 0 || (*old)->at_start))
                m = *old;
            else if (generation_ == 0)
                std::const_pointer_cast<module>(m)->at_start = true;
        }
        modules_ = std::move(fresh.modules);
        generation_ = fresh.generation;
    }

    std::mutex mutex_;
    std::vector<module_ptr> modules_;
    unsigned long long generation_ = 0;
};

template <class T>
T read_at(const std::byte* bytes)
{
    T value;
    std::memcpy(&value, bytes, sizeof value);
    return value;
}

// .eh_frame_hdr, Linux Standard Base 5.0, 10.6.2, with the encodings that GNU ld, gold and lld write. Sorted pairs
// (begin of a function, its unwind entry), 32 bits each, relative to the table.
enum class answer { no, yes, unknown };

answer begins_function(const module& in, std::uintptr_t address)
{
    constexpr unsigned pcrel_sdata4 = 0x1b, udata4 = 0x03, datarel_sdata4 = 0x3b;
    const auto* table = in.unwind_table;
    if (!table || in.unwind_table_size < 12)
        return answer::unknown;
    const auto encoding = [&](int i) { return std::to_integer<unsigned>(table[i]); };
    if (encoding(0) != 1 || encoding(1) != pcrel_sdata4 || encoding(2) != udata4 || encoding(3) != datarel_sdata4)
        return answer::unknown;
    const std::size_t count = std::min<std::size_t>(read_at<std::uint32_t>(table + 8), (in.unwind_table_size - 12) / 8);
    const auto wanted = static_cast<std::ptrdiff_t>(address - reinterpret_cast<std::uintptr_t>(table));
    std::size_t low = 0, high = count;
    while (low < high) {
        const auto middle = low + (high - low) / 2;
        const std::ptrdiff_t begin = read_at<std::int32_t>(table + 12 + 8 * middle);
        if (begin == wanted)
            return answer::yes;
        if (begin < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return answer::no;
}

}  // namespace

bool module::contains(std::uintptr_t address) const noexcept
{
    return std::ranges::any_of(segments, [&](auto& s) { return address >= s.begin && address < s.end; });
}

std::uint64_t module::build_id() const
{
    if (noted_build_id != 0)
        return noted_build_id;
    if (hash_ == 0)
        if (const auto code = std::ranges::find(segments, true, &segment::executable); code != segments.end())
            hash_ = hash_bytes(reinterpret_cast<const std::byte*>(code->begin), code->end - code->begin) | 1;
    return hash_ | 1;
}

const elf_symbols& module::symbols() const
{
    std::call_once(symbols_once_, [&] { symbols_ = elf_symbols{path}; });
    return symbols_;
}

module_ptr find_module(const void* address)
{
    return module_list::instance().find(
        [at = reinterpret_cast<std::uintptr_t>(address)](const module& m) { return m.contains(at); });
}

namespace {
// What is here before main was here at the start. Through a public name: in a library with a copy of this file of its own
// that is the program's.
[[maybe_unused]] const auto looked_at_start = find_module(nullptr);
} // namespace

module_ptr find_module(std::uint64_t build_id)
{
    auto& list = module_list::instance();
    if (auto noted = list.find([=](const module& m) { return m.noted_build_id == build_id; }))
        return noted;
    return list.find([=](const module& m) { return m.noted_build_id == 0 && m.build_id() == build_id; });
}

module_ptr load_module(const std::string& path, std::uint64_t build_id)
{
    if (path.empty() || path.find('\0') != path.npos || build_id_of_file(path) != build_id)
        return nullptr;
    if (!::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL))
        return nullptr;
    return find_module(build_id);
}

bool is_function_start(const module& in, const void* address)
{
    const auto at = reinterpret_cast<std::uintptr_t>(address);
    const bool executable
        = std::ranges::any_of(in.segments, [&](auto& s) { return s.executable && at >= s.begin && at < s.end; });
    if (!executable)
        return false;
    return begins_function(in, at) == answer::yes || in.symbols().begins_at(at - in.bias);
}

}  // namespace coproc::detail
