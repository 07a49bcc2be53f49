// A mutex in shared memory, and how coroutines take one, alone or as a part of something else.
#pragma once

#include "sync/arena.hpp"
#include "sync/mutex_core.hpp"

#include <coproc/mutex.hpp>

#include <chrono>
#include <memory>
#include <optional>

namespace coproc::detail {

struct mutex_object {
    object_header header;
    std::atomic<std::int32_t> thread; ///< that has locked it, if it did so as a thread
    mutex_state mutex;
};

[[nodiscard]] task<mutex_guard> acquire_mutex(std::shared_ptr<object_place> place, mutex_state& mutex);
[[nodiscard]] task<std::optional<mutex_guard>> acquire_mutex_by(std::shared_ptr<object_place> place, mutex_state& mutex, sleep_limit until);
/// Without waiting, and without help from those who sleep: asks the kernel about its owner.
[[nodiscard]] taken try_take_now(mutex_state& mutex);
/// So long from now on.
[[nodiscard]] sleep_limit limit_in(std::chrono::nanoseconds time) noexcept;
/// The kernel's number, asked for once.
[[nodiscard]] std::int32_t this_thread_number() noexcept;

} // namespace coproc::detail
