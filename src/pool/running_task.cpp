#include "pool/running_task.hpp"

#include <coproc/this_task.hpp>

namespace coproc {
namespace detail {
namespace {

// The value first, then the word, so that who sees the word sees its value; a task's threads may outlive it.
std::atomic<std::uint64_t> stop_value{0};
std::atomic<const std::atomic<std::uint64_t>*> running{nullptr};

} // namespace

running_task::running_task(const std::atomic<std::uint64_t>& word, std::uint64_t stopping) noexcept
{
    stop_value.store(stopping, std::memory_order_relaxed);
    running.store(&word, std::memory_order_release);
}

running_task::~running_task() { running.store(nullptr, std::memory_order_relaxed); }

} // namespace detail

bool this_task::stop_requested() noexcept
{
    auto* word = detail::running.load(std::memory_order_acquire);
    return word && word->load(std::memory_order_relaxed) == detail::stop_value.load(std::memory_order_relaxed);
}

} // namespace coproc
