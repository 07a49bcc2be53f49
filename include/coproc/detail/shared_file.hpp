// A memory file that processes share, as one of them sees it.
#pragma once

#include <coproc/serialize.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>

namespace coproc::detail {

/// Anonymous memory that several processes show. It has no name, travels in messages as a descriptor, and is gone when the
/// last process that has it lets go of it or ends. A process maps it once, however often it is sent there.
class shared_file {
public:
    shared_file(const shared_file&) = delete;
    shared_file& operator=(const shared_file&) = delete;
    virtual ~shared_file() = default;

    [[nodiscard]] std::byte* data() const noexcept { return data_; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] const attachment& descriptor() const noexcept { return descriptor_; }
    /// Whether the descriptor is this process's: in a forked copy only the memory is.
    [[nodiscard]] bool is_ours() const noexcept;

protected:
    shared_file() noexcept;

    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
    attachment descriptor_;

private:
    std::uint64_t stamp_;
};

/// `size` bytes, all zero; nobody can change their number. `name` shows in /proc. `huge`: in huge pages, where they can be
/// had. No page is taken before it is touched; so a size that no memory of this machine (with its swap) can hold is refused
/// at once: std::system_error with ENOMEM. Throws std::system_error for want of descriptors or address space, too.
[[nodiscard]] std::shared_ptr<shared_file> make_shared_file(const char* name, std::size_t size, bool huge = false);

/// Sends it with the message: a descriptor, unless the one before is the same. Throws usage_error in a forked copy of its
/// process.
void save_file(output_archive& archive, const std::shared_ptr<shared_file>& file);
/// The same memory here. Throws protocol_error if it is no memory file, smaller than `least`, or may shrink (SIGBUS).
[[nodiscard]] std::shared_ptr<shared_file> load_file(input_archive& archive, std::size_t least);
/// What save_file sent, of any kind.
[[nodiscard]] attachment load_file_descriptor(input_archive& archive);

} // namespace coproc::detail
