#include <coproc/detail/buffer.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <span>
#include <stdexcept>
#include <utility>

namespace coproc::detail {

buffer_storage::~buffer_storage() = default;

namespace {

// Reason: most messages fit, so that they cost one allocation.
constexpr std::size_t first_capacity = 256;

class heap_storage final : public buffer_storage {
public:
    heap_storage() = default;
    heap_storage(const heap_storage&) = delete;
    heap_storage& operator=(const heap_storage&) = delete;
    ~heap_storage() override { std::free(bytes_); }

    std::byte* grow(std::byte*, std::size_t, std::size_t& capacity) override
    {
        if (capacity > PTRDIFF_MAX)
            throw std::bad_alloc{};
        const std::size_t wanted = std::max({capacity, 2 * capacity_, first_capacity});
        void* bytes = std::realloc(bytes_, wanted);
        if (!bytes)
            throw std::bad_alloc{};
        bytes_ = bytes;
        capacity = capacity_ = wanted;
        return static_cast<std::byte*>(bytes);
    }

private:
    void* bytes_ = nullptr;
    std::size_t capacity_ = 0;
};

}  // namespace

namespace {

// Coroutines that end with their thread's loop may come later than the end of this.
constinit thread_local bool is_gone = false;
struct spare_ones {
    std::array<buffer, 2> all;
    ~spare_ones() { is_gone = true; }
};

std::span<buffer> spares()
{
    static thread_local spare_ones mine;
    return is_gone ? std::span<buffer>{} : mine.all;
}

}  // namespace

buffer spare_buffer() noexcept
{
    for (auto& spare : spares())
        if (spare.capacity() != 0)
            return std::move(spare);
    return {};
}

void use_again(buffer memory) noexcept
{
    constexpr std::size_t most_kept = 4 << 20;
    if (memory.capacity() == 0 || memory.capacity() > most_kept)
        return;
    memory.clear();
    for (auto& spare : spares())
        if (spare.capacity() == 0)
            return spare.swap(memory);
}

void buffer::grow(std::size_t n)
{
    if (n > SIZE_MAX - size_)
        throw std::length_error{"coproc: a message of more bytes than can be counted"};
    if (!storage_)
        storage_ = std::make_unique<heap_storage>();
    std::size_t capacity = size_ + n;
    data_ = storage_->grow(data_, size_, capacity);
    capacity_ = capacity;
}

bool buffer::only_once() const noexcept { return std::ranges::any_of(attachments_, &attachment::only_once); }

void buffer::shrink_to(std::size_t size, std::size_t attachments) noexcept
{
    shrink_to(size);
    if (attachments < attachments_.size())
        attachments_.erase(attachments_.begin() + static_cast<std::ptrdiff_t>(attachments), attachments_.end());
}

}  // namespace coproc::detail
