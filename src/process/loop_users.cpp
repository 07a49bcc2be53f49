#include "process/loop_users.hpp"

#include <asio/detail/reactive_descriptor_service.hpp>
#include <asio/execution/context.hpp>

#include <algorithm>
#include <utility>

namespace coproc::detail {

asio::execution_context::id loop_users::id;

// A loop's services end in the opposite order. What its users let go of must still be there: else a thread that takes a
// descriptor away from this loop and the loop's own end would free the same memory.
loop_users::loop_users(asio::execution_context& loop) : service{loop}
{
    asio::use_service<asio::detail::reactive_descriptor_service>(loop);
}

void loop_users::add(std::weak_ptr<loop_user> user)
{
    std::scoped_lock lock{mutex_};
    std::erase_if(users_, [&](auto& u) { return u.expired() || (!u.owner_before(user) && !user.owner_before(u)); });
    users_.push_back(std::move(user));
}

std::vector<std::shared_ptr<loop_user>> loop_users::take()
{
    std::scoped_lock lock{mutex_};
    std::vector<std::shared_ptr<loop_user>> result;
    for (auto& u : std::exchange(users_, {}))
        if (auto user = u.lock(); user && std::ranges::find(result, user) == result.end())
            result.push_back(std::move(user));
    return result;
}

void loop_users::rest()
{
    for (auto& user : take()) {
        user->loop_rests(context());
        add(user);
    }
}

void loop_users::shutdown()
{
    for (auto& user : take())
        user->loop_ends(context());
}

asio::execution_context& loop_of(const asio::any_io_executor& executor) { return asio::query(executor, asio::execution::context); }

} // namespace coproc::detail
