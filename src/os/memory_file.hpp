// Anonymous shared memory: a file that exists only as long as somebody holds it.
#pragma once

#include "os/descriptor.hpp"

#include <cstddef>
#include <cstdint>
#include <utility>

namespace coproc::os {

/// A part of the address space that shows a memory file; unmapped when destroyed.
class mapping {
public:
    mapping() noexcept = default;
    mapping(std::byte* data, std::size_t size) noexcept : data_{data}, size_{size} {}
    mapping(mapping&& other) noexcept : data_{std::exchange(other.data_, nullptr)}, size_{std::exchange(other.size_, 0)} {}
    mapping& operator=(mapping&& other) noexcept
    {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        return *this;
    }
    ~mapping();

    [[nodiscard]] std::byte* data() const noexcept { return data_; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    /// Shows `size` bytes from now on, maybe elsewhere; the file must be that large. Copies nothing.
    void resize(std::size_t size);

private:
    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
};

/// A new memory file of `size` bytes, all zero. The name only shows in /proc.
/// Throws std::system_error when there are no descriptors or no memory.
[[nodiscard]] descriptor make_memory_file(const char* name, std::size_t size);
void resize(const descriptor& file, std::size_t size);
void resize_file(int file, std::size_t size);
[[nodiscard]] std::size_t size_of(const descriptor& file);

enum class access { read, read_write };
/// Shows the first `size` bytes of the file; touching what lies beyond its end is SIGBUS, so check size_of before.
[[nodiscard]] mapping map(const descriptor& file, std::size_t size, access);
/// `offset`: a multiple of 4096.
[[nodiscard]] mapping map(int file, std::size_t size, access, std::size_t offset = 0);
/// Gives the memory of a part of the file back to the system; it reads as zero from now on. A hint.
void give_back(int file, std::size_t offset, std::size_t size) noexcept;
/// Nobody can make the file shorter any more (with `growth::no`: nor longer), so that what was mapped stays there: a
/// shorter file would be SIGBUS for whoever reads it.
enum class growth { no, yes };
void seal(const descriptor& file, growth growth);
[[nodiscard]] bool can_shrink(const descriptor& file) noexcept;

/// What an open file is, whoever made it.
struct file_facts {
    std::pair<std::uint64_t, std::uint64_t> id; ///< of no other file on this system, as long as somebody has it
    std::size_t size = 0;
    bool may_shrink = true;
};
[[nodiscard]] file_facts facts_of(int file);

/// A second descriptor for the file that can't be mapped for writing.
[[nodiscard]] descriptor read_only(const descriptor& file);

} // namespace coproc::os
