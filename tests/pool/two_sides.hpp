// A worker's page with both its sides in this process.
#pragma once

#include "os/descriptor.hpp"
#include "pool/worker_page.hpp"

#include <cstddef>
#include <vector>

namespace pool_test {

using bytes = std::vector<std::byte>;

inline bytes counting(std::size_t size, std::size_t from)
{
    bytes result(size);
    for (std::size_t i = 0; i < size; ++i)
        result[i] = static_cast<std::byte>((from + i) % 251);
    return result;
}

/// A page as its two sides have it.
struct two_sides {
    explicit two_sides(std::size_t slots = coproc::detail::task_slots) : pool{slots} {}

    coproc::detail::worker_page pool;
    coproc::detail::worker_page worker{pool.file()};
    coproc::os::descriptor bell = coproc::os::make_event();
};

} // namespace pool_test
