#include <coproc/detail/fairness.hpp>

#include <asio/post.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <utility>

namespace coproc::detail {

bool had_its_turn() noexcept
{
    static thread_local unsigned operations = 0;
    return ++operations % 128 == 0;
}

task<> let_others_run()
{
    auto loop = co_await asio::this_coro::executor;
    auto turn = asio::post(loop, asio::use_awaitable);
    co_await std::move(turn);
}

} // namespace coproc::detail
