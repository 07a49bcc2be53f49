#pragma once

#include <version>   // before Asio, which asks the standard library whether it has aligned_alloc without including it

#include <asio/awaitable.hpp>

namespace coproc {

/// What every function of the library that can wait returns, and what a user's own coroutines return.
///
/// It is Asio's awaitable on any executor, so `co_spawn`, `use_future`, `awaitable_operators` and cancellation slots
/// work with it. Nothing happens before it is awaited or spawned; destroying it unawaited runs nothing.
template <class T = void>
using task = asio::awaitable<T>;

}  // namespace coproc
