#include <coproc/detail/generator_job.hpp>
#include <coproc/error.hpp>

#include <algorithm>

namespace coproc::detail {
namespace {

// Reason: a worker that waits for room is woken for half of them, which costs 60 us; small items cost 0.2 us each.
constexpr std::uint64_t default_window = 1024;
constexpr std::uint64_t largest_window = std::uint64_t{1} << 62;

} // namespace

std::unique_ptr<item_account> open_account(job& work)
{
    if (work.options.retries > 0)
        throw usage_error{"a task that is a stream can't be tried again: its items may have been taken"};
    work.size = 1;
    work.coroutine = true;
    auto result = std::make_unique<item_account>();
    result->window = work.options.in_flight == 0 ? default_window : std::min<std::uint64_t>(work.options.in_flight, largest_window);
    static_cast<void>(result->allow_more());
    return result;
}

void item_account::add(std::size_t bytes)
{
    if (came >= allowed || came_bytes > allowed_bytes)
        throw protocol_error{"a worker made more items of a stream than it may"};
    ++came;
    came_bytes += bytes;
}

bool item_account::allow_more() noexcept
{
    auto items = taken + window, bytes = taken_bytes + most_bytes;
    if (items - allowed < (window + 1) / 2 && bytes - allowed_bytes < most_bytes / 2)
        return false;
    allowed = items;
    allowed_bytes = bytes;
    return true;
}

} // namespace coproc::detail
