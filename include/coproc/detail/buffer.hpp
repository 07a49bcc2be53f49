#pragma once

#include <coproc/detail/attachment.hpp>

#include <cstddef>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

namespace coproc::detail {

/// Where a buffer's bytes live. One virtual call for each growth, none for each write.
///
/// Ownership: the storage owns the bytes it handed out; they are gone when it is destroyed.
struct buffer_storage {
    virtual ~buffer_storage();

    /// Makes room for at least `capacity` bytes, of which the first `used` equal those at `old`.
    /// `capacity`: in, the bytes needed (> 0); out, the bytes that may be used (not less).
    /// Returns where they begin; `old` is not used any more. Throws: std::bad_alloc, std::system_error; then `old` and
    /// its bytes are as before.
    virtual std::byte* grow(std::byte* old, std::size_t used, std::size_t& capacity) = 0;
};

/// The bytes, and the descriptors, of one outgoing message.
///
/// Grows geometrically through its storage and keeps what it got: `clear` frees nothing, so that a reused buffer
/// costs no allocation. Not thread-safe.
class buffer {
public:
    /// On the heap; takes no memory before the first byte.
    buffer() noexcept = default;

    /// In `storage`, which it owns; not null.
    explicit buffer(std::unique_ptr<buffer_storage> storage) noexcept : storage_{std::move(storage)} {}

    buffer(buffer&& other) noexcept { swap(other); }
    buffer& operator=(buffer&& other) noexcept
    {
        buffer{std::move(other)}.swap(*this);
        return *this;
    }

    std::byte* data() noexcept { return data_; }
    const std::byte* data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    std::size_t capacity() const noexcept { return capacity_; }
    bool empty() const noexcept { return size_ == 0; }

    /// Forgets the bytes and drops the attachments; keeps the memory.
    void clear() noexcept
    {
        size_ = 0;
        attachments_.clear();
    }

    /// Adds `n` bytes, whose values are not set, and returns where they begin: valid until the next growth.
    /// Throws: std::length_error when the size would overflow, what the storage throws; then nothing has changed.
    /// Cost:   two comparisons while there is room.
    std::byte* extend(std::size_t n)
    {
        if (n > capacity_ - size_) [[unlikely]]
            grow(n);
        std::byte* begin = data_ + size_;
        size_ += n;
        return begin;
    }

    /// Adds a copy of the `n` bytes at `bytes`, which must not lie in this buffer.
    void append(const void* bytes, std::size_t n)
    {
        if (n != 0)
            std::memcpy(extend(n), bytes, n);
    }

    /// Back to an earlier `size`, and to the number of attachments there was then; larger values change nothing.
    void shrink_to(std::size_t size) noexcept { size_ = size < size_ ? size : size_; }
    void shrink_to(std::size_t size, std::size_t attachments) noexcept;

    std::vector<attachment>& attachments() noexcept { return attachments_; }
    const std::vector<attachment>& attachments() const noexcept { return attachments_; }
    /// Whether an attachment is; see there.
    [[nodiscard]] bool only_once() const noexcept;

    /// What the bytes live in; null for a heap buffer that has not grown yet. Owned by the buffer.
    buffer_storage* storage() noexcept { return storage_.get(); }

    void swap(buffer& other) noexcept
    {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        std::swap(capacity_, other.capacity_);
        storage_.swap(other.storage_);
        attachments_.swap(other.attachments_);
    }

private:
    void grow(std::size_t n);

    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
    std::unique_ptr<buffer_storage> storage_;
    std::vector<attachment> attachments_;
};

/// An empty buffer, with the memory of one that this thread is done with, if there is one: fresh memory would cost more than
/// what is written to it. A thread keeps two, of at most 4 MiB each.
[[nodiscard]] buffer spare_buffer() noexcept;
void use_again(buffer memory) noexcept;

}  // namespace coproc::detail
