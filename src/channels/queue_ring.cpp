#include "channels/queue_ring.hpp"

#include <algorithm>
#include <cstring>

namespace coproc::detail {

void queue_ring::copy_in(std::uint64_t at, std::span<const std::byte> bytes) const noexcept
{
    std::size_t begin = at % size(), first = std::min(bytes.size(), size() - begin);
    std::memcpy(memory_->data() + begin, bytes.data(), first);
    if (first < bytes.size())
        std::memcpy(memory_->data(), bytes.data() + first, bytes.size() - first);
}

void queue_ring::copy_out(std::uint64_t at, std::span<std::byte> bytes) const noexcept
{
    std::size_t begin = at % size(), first = std::min(bytes.size(), size() - begin);
    std::memcpy(bytes.data(), memory_->data() + begin, first);
    if (first < bytes.size())
        std::memcpy(bytes.data() + first, memory_->data(), bytes.size() - first);
}

} // namespace coproc::detail
