#pragma once

#include <coproc/detail/attachment.hpp>
#include <coproc/detail/buffer.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

namespace coproc::detail {

/// How deep values of class type may nest in one message. Reason: a recursive type is saved and loaded by recursion;
/// a thousand levels take 1–3 MB of stack without optimization and under AddressSanitizer, of the usual 8.
inline constexpr unsigned max_depth = 1000;

/// How many elements a container may announce beyond the bytes that remain. Reason: elements of empty classes take no
/// bytes; anything larger is refused before memory is taken for it.
inline constexpr std::size_t max_empty_elements = 65536;

[[noreturn]] void throw_truncated(std::size_t wanted, std::size_t remaining);
[[noreturn]] void throw_too_long(std::uint64_t count, std::size_t remaining);
[[noreturn]] void throw_too_deep();
[[noreturn]] void throw_malformed(std::string_view what);

/// The writing half of an archive: bytes and descriptors go to the end of a buffer, which must outlive it.
class byte_sink {
public:
    explicit byte_sink(buffer& target) noexcept : target_{&target} {}

    void save_binary(const void* bytes, std::size_t n)
    {
        if (n != 0)
            std::memcpy(target_->extend(n), bytes, n);
    }

    /// Sends a descriptor with the message; the receiver takes them in the same order.
    void attach(attachment descriptor) { target_->attachments().push_back(std::move(descriptor)); }

    buffer& target() noexcept { return *target_; }

    void enter()
    {
        if (++depth_ > max_depth) [[unlikely]]
            throw_too_deep();
    }
    void leave() noexcept { --depth_; }

private:
    buffer* target_;
    unsigned depth_ = 0;
};

/// The reading half of an archive: a cursor over a message in memory, of any alignment, that it does not own.
/// Every step is checked against what remains; what is refused is a protocol_error.
class byte_source {
public:
    byte_source(const std::byte* data, std::size_t size, std::vector<attachment>* attachments) noexcept
        : next_{data}, end_{data + size}, attachments_{attachments}
    {
    }

    void load_binary(void* bytes, std::size_t n)
    {
        if (n > remaining()) [[unlikely]]
            throw_truncated(n, remaining());
        if (n != 0)
            std::memcpy(bytes, next_, n);
        next_ += n;
    }

    std::size_t remaining() const noexcept { return static_cast<std::size_t>(end_ - next_); }

    /// The next `n` bytes in place, and steps over them. Valid as long as the message.
    const std::byte* view(std::size_t n)
    {
        if (n > remaining()) [[unlikely]]
            throw_truncated(n, remaining());
        return std::exchange(next_, next_ + n);
    }

    /// The next descriptor of the message; throws protocol_error if none is left.
    attachment take_attachment();
    /// Remembers one that the message may mean again; throws protocol_error if there is none.
    void remember(attachment descriptor) { remembered_ = std::move(descriptor); }
    attachment remembered() const;

    /// Refuses a container of `count` elements that can't be in what remains.
    void check_count(std::uint64_t count) const
    {
        if (count > remaining() && count - remaining() > max_empty_elements) [[unlikely]]
            throw_too_long(count, remaining());
    }

    /// Refuses the reference to a shared object, by its number on the wire (peeked, not taken), unless the object was
    /// first met with the same type: cereal would cast it.
    void check_shared(const void* type);

    /// Goes on where `other`, which began as a copy of this position, has come to.
    void skip_to(const byte_source& other) noexcept
    {
        next_ = other.next_;
        next_attachment_ = other.next_attachment_;
        remembered_ = other.remembered_;
    }

    void enter()
    {
        if (++depth_ > max_depth) [[unlikely]]
            throw_too_deep();
    }
    void leave() noexcept { --depth_; }

protected:
    /// The same position in the same message, with nothing else remembered.
    byte_source fresh() const noexcept
    {
        byte_source copy{next_, remaining(), attachments_};
        copy.next_attachment_ = next_attachment_;
        copy.remembered_ = remembered_;
        return copy;
    }

private:
    const std::byte* next_;
    const std::byte* end_;
    std::vector<attachment>* attachments_;
    std::size_t next_attachment_ = 0;
    attachment remembered_;
    std::vector<const void*> shared_types_;   // by id - 1
    unsigned depth_ = 0;
};

}  // namespace coproc::detail
