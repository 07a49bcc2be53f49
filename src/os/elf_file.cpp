#include "os/elf_file.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <fcntl.h>
#include <link.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace coproc::detail {

namespace {

class file {
public:
    explicit file(const std::string& path) : descriptor_{::open(path.c_str(), O_RDONLY | O_CLOEXEC)}
    {
        struct stat status {};
        if (descriptor_ >= 0 && ::fstat(descriptor_, &status) == 0 && S_ISREG(status.st_mode))
            size_ = static_cast<std::uint64_t>(status.st_size);
    }
    file(const file&) = delete;
    file& operator=(const file&) = delete;
    ~file()
    {
        if (descriptor_ >= 0)
            ::close(descriptor_);
    }

    template <class T>
    std::vector<T> read(std::uint64_t offset, std::uint64_t count) const
    {
        if (offset > size_ || count > (size_ - offset) / sizeof(T))
            return {};
        std::vector<T> result(count);
        auto* bytes = reinterpret_cast<char*>(result.data());
        for (std::size_t done = 0, all = count * sizeof(T); done < all;) {
            const auto n = ::pread(descriptor_, bytes + done, all - done, static_cast<off_t>(offset + done));
            if (n <= 0)
                return {};
            done += static_cast<std::size_t>(n);
        }
        return result;
    }

    std::vector<ElfW(Ehdr)> header() const
    {
        auto header = read<ElfW(Ehdr)>(0, 1);
        if (!header.empty() && std::memcmp(header[0].e_ident, ELFMAG, SELFMAG) != 0)
            header.clear();
        return header;
    }

private:
    int descriptor_;
    std::uint64_t size_ = 0;
};

}  // namespace

elf_symbols::elf_symbols(const std::string& path)
{
    const file elf{path};
    const auto header = elf.header();
    if (header.empty() || header[0].e_shentsize != sizeof(ElfW(Shdr)))
        return;
    const auto sections = elf.read<ElfW(Shdr)>(header[0].e_shoff, header[0].e_shnum);
    for (const auto wanted : {SHT_SYMTAB, SHT_DYNSYM}) {
        const auto table = std::ranges::find(sections, static_cast<ElfW(Word)>(wanted), &ElfW(Shdr)::sh_type);
        if (table == sections.end() || table->sh_link >= sections.size())
            continue;
        const auto& strings = sections[table->sh_link];
        names_ = elf.read<char>(strings.sh_offset, strings.sh_size);
        names_.push_back('\0');
        for (const auto& s : elf.read<ElfW(Sym)>(table->sh_offset, table->sh_size / sizeof(ElfW(Sym)))) {
            const auto type = s.st_info & 0xf;
            if ((type == STT_FUNC || type == STT_GNU_IFUNC) && s.st_value != 0 && s.st_name < names_.size())
                symbols_.push_back({s.st_value, s.st_size, s.st_name});
        }
        if (!symbols_.empty())
            break;
    }
    std::ranges::sort(symbols_, {}, &symbol::address);
}

std::string_view elf_symbols::name_at(std::uint64_t address) const
{
    auto after = std::ranges::upper_bound(symbols_, address, {}, &symbol::address);
    if (after == symbols_.begin())
        return {};
    const auto& found = *--after;
    if (found.size != 0 && address - found.address >= found.size)
        return {};
    return names_.data() + found.name;
}

bool elf_symbols::begins_at(std::uint64_t address) const
{
    return std::ranges::binary_search(symbols_, address, {}, &symbol::address);
}

std::uint64_t hash_bytes(const std::byte* bytes, std::size_t size, std::uint64_t seed) noexcept
{
    constexpr std::uint64_t odd = 0x9e3779b97f4a7c15;   // 2^64 / golden ratio: each step loses nothing
    std::uint64_t hash = seed ^ size;
    const auto add = [&](std::uint64_t word) { hash = std::rotl(hash ^ word, 29) * odd; };
    for (; size >= 8; size -= 8, bytes += 8) {
        std::uint64_t word;
        std::memcpy(&word, bytes, 8);
        add(word);
    }
    std::uint64_t rest = 0;
    if (size != 0)
        std::memcpy(&rest, bytes, size);
    add(rest);
    hash ^= hash >> 32;
    hash *= odd;
    return hash ^ hash >> 29;
}

std::uint64_t build_id_in_notes(const std::byte* notes, std::size_t size)
{
    const auto padded = [](std::size_t n) { return (n + 3) & ~std::size_t{3}; };
    while (size >= sizeof(ElfW(Nhdr))) {
        ElfW(Nhdr) note;
        std::memcpy(&note, notes, sizeof note);
        const auto name = sizeof note, value = name + padded(note.n_namesz), end = value + padded(note.n_descsz);
        if (value > size || end > size)
            break;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && std::memcmp(notes + name, "GNU", 4) == 0)
            return hash_bytes(notes + value, note.n_descsz) | 1;
        notes += end;
        size -= end;
    }
    return 0;
}

std::uint64_t build_id_of_file(const std::string& path)
{
    const file elf{path};
    const auto header = elf.header();
    if (header.empty() || header[0].e_phentsize != sizeof(ElfW(Phdr)))
        return 0;
    const auto segments = elf.read<ElfW(Phdr)>(header[0].e_phoff, header[0].e_phnum);
    for (const auto& segment : segments)
        if (segment.p_type == PT_NOTE) {
            const auto notes = elf.read<std::byte>(segment.p_offset, segment.p_filesz);
            if (const auto id = build_id_in_notes(notes.data(), notes.size()))
                return id;
        }
    for (const auto& segment : segments)
        if (segment.p_type == PT_LOAD && (segment.p_flags & PF_X) != 0) {
            const auto code = elf.read<std::byte>(segment.p_offset, segment.p_memsz);   // as it is mapped
            return hash_bytes(code.data(), code.size()) | 1;
        }
    return 0;
}

}  // namespace coproc::detail
