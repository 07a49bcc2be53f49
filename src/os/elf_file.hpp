#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace coproc::detail {

/// The functions that an ELF file names, by address: its own small reader, since an executable rarely exports its
/// symbols to dladdr. A file that is damaged or no ELF has no symbols; nothing is thrown for it.
class elf_symbols {
public:
    elf_symbols() = default;

    /// Reads the file at `path`. Cost: proportional to its symbols; 1 ms for ten thousand.
    explicit elf_symbols(const std::string& path);

    /// The mangled name of the function that holds `address` (as in the file); empty if none does.
    std::string_view name_at(std::uint64_t address) const;

    /// Whether a function, or the stub of one, begins exactly there.
    bool begins_at(std::uint64_t address) const;

private:
    struct symbol {
        std::uint64_t address, size;
        std::uint32_t name;
    };
    std::vector<symbol> symbols_;   // by address
    std::vector<char> names_;       // ends with a zero
};

/// The GNU build id in a run of ELF notes, folded to 64 bits; 0 if there is none.
std::uint64_t build_id_in_notes(const std::byte* notes, std::size_t size);

/// The same of a file that need not be loaded; a hash of its code if it has no build id; 0 if it cannot be read.
std::uint64_t build_id_of_file(const std::string& path);

/// 64 bits that depend on every bit of `bytes`. Not cryptographic.
std::uint64_t hash_bytes(const std::byte* bytes, std::size_t size, std::uint64_t seed = 0) noexcept;

}  // namespace coproc::detail
