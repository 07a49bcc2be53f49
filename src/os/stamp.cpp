#include "os/stamp.hpp"

#include <atomic>
#include <ctime>
#include <new>
#include <sys/mman.h>
#include <unistd.h>

namespace coproc::os {
namespace {

using word = std::atomic<std::uint64_t>;

// The kernel fills this page with zeros in a copy of the process. Where it can't (before Linux 4.14) there is no place.
word* make_place() noexcept
{
    void* page = ::mmap(nullptr, sizeof(word), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || ::madvise(page, sizeof(word), MADV_WIPEONFORK) != 0)
        return nullptr;
    return new (page) word{0};
}

std::uint64_t make_stamp() noexcept
{
    timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    auto time = static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(t.tv_nsec);
    return (time << 22 ^ static_cast<std::uint64_t>(::getpid())) | 1;
}

} // namespace

std::uint64_t process_stamp() noexcept
{
    static word* const place = make_place();
    if (!place)
        return static_cast<std::uint64_t>(::getpid());
    auto stamp = place->load(std::memory_order_relaxed);
    if (stamp != 0) [[likely]]
        return stamp;
    auto mine = make_stamp();
    return place->compare_exchange_strong(stamp, mine, std::memory_order_relaxed) ? mine : stamp;
}

} // namespace coproc::os
