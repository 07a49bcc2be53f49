// What a process keeps from task to task.
#pragma once

#include <coproc/error.hpp>

#include <optional>
#include <utility>

namespace coproc {

namespace detail {
template <class T>
std::optional<T>& state_place()
{
    static std::optional<T> place;
    return place;
}
} // namespace detail

/// Makes this process's object of type T, in place of the one it had: a model, a connection, a cache that a pool's
/// initializer sets up once for each worker. Not thread-safe. It lives until the process ends, or until reset_state, which a
/// finalizer may call: a worker that is killed runs no destructors.
template <class T, class... Args>
T& make_state(Args&&... args)
{
    return detail::state_place<T>().emplace(std::forward<Args>(args)...);
}

/// That object. Throws usage_error if it wasn't made.
template <class T>
[[nodiscard]] T& state()
{
    auto& place = detail::state_place<T>();
    if (!place)
        throw usage_error{"this process has no state of this type: call make_state in the pool's initializer"};
    return *place;
}

/// Destroys it, if there is one.
template <class T>
void reset_state()
{
    detail::state_place<T>().reset();
}

} // namespace coproc
