#pragma once

#include "os/elf_file.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

/// The executable and the shared libraries of this process, as its dynamic linker knows them.
namespace coproc::detail {

/// One of them, as it was when it was looked at; may outlive the library that it describes. Thread-safe.
struct module {
    struct segment {
        std::uintptr_t begin = 0, end = 0;
        bool executable = false;
    };

    std::uintptr_t bias = 0;                  ///< what is added to a file's addresses
    std::vector<segment> segments;            ///< what is mapped of it
    std::string path;                         ///< absolute; "/proc/self/exe" for the program itself
    bool at_start = false;                    ///< was there before main: every process of the program has it
    const std::byte* unwind_table = nullptr;  ///< PT_GNU_EH_FRAME, null if absent
    std::size_t unwind_table_size = 0;

    /// The GNU build id folded to 64 bits; of a module without one, a hash of its code. Never 0.
    std::uint64_t build_id() const;

    bool contains(std::uintptr_t address) const noexcept;

    /// The functions that its file names; read at the first call.
    const elf_symbols& symbols() const;

    std::uint64_t noted_build_id = 0;         ///< 0: no GNU build id

private:
    mutable std::atomic<std::uint64_t> hash_{0};
    mutable std::once_flag symbols_once_;
    mutable elf_symbols symbols_;
};

using module_ptr = std::shared_ptr<const module>;

/// The module that `address` lies in, or with that build id; null if there is none. Thread-safe.
/// Cost: a call of dl_iterate_phdr (0.1 µs); all modules are read again after one came or went.
module_ptr find_module(const void* address);
module_ptr find_module(std::uint64_t build_id);

/// Loads the library at `path`, for good, if its build id is `build_id`; otherwise, and when there is no library, null,
/// and nothing of it has run.
module_ptr load_module(const std::string& path, std::uint64_t build_id);

/// Whether exactly a function begins at `address`: asked of the unwind table, which stripped modules have too, then of
/// the symbols.
bool is_function_start(const module& in, const void* address);

}  // namespace coproc::detail
