#include <coproc/detail/large_buffer.hpp>

#include <cstdint>
#include <sys/mman.h>

namespace coproc::detail {

void expect_large_buffer(void* begin, std::size_t size) noexcept
{
    constexpr std::uintptr_t page = 4096;
    auto first = (reinterpret_cast<std::uintptr_t>(begin) + page - 1) / page * page;
    auto last = (reinterpret_cast<std::uintptr_t>(begin) + size) / page * page;
    if (first < last)
        ::madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
}

} // namespace coproc::detail
