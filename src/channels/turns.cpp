#include "channels/turns.hpp"

#include "process/loop_users.hpp"

#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/error.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>

#include <utility>

namespace coproc::detail {
namespace {

template <class Handler>
class waiter_of final : public turn_waiter {
public:
    explicit waiter_of(Handler handler) : handler_{std::move(handler)}, work_{asio::get_associated_executor(handler_)}
    {
        loop = &loop_of(work_.get_executor());
    }

    void wake(std::error_code error) override
    {
        asio::post(work_.get_executor(), [handler = std::move(handler_), error]() mutable {
            if (auto slot = asio::get_associated_cancellation_slot(handler); slot.is_connected())
                slot.clear();
            std::move(handler)(error);
        });
    }

private:
    Handler handler_;
    asio::executor_work_guard<asio::associated_executor_t<Handler>> work_; // its loop must not end before
};

} // namespace

void turns::take(const asio::execution_context& loop, std::vector<std::unique_ptr<turn_waiter>>& to)
{
    for (auto* p : queue_)
        if (p->waiter_ && p->waiter_->loop == &loop)
            to.push_back(std::move(p->waiter_));
}

place::place(turns& in) : in_{in}
{
    std::scoped_lock lock{in_.mutex_};
    at_ = in_.queue_.insert(in_.queue_.end(), this);
}

place::~place()
{
    std::unique_lock lock{in_.mutex_};
    bool was_first = at_ == in_.queue_.begin();
    in_.queue_.erase(at_);
    // Under the lock: the next one's frame, and so its loop, can't go before it has left the queue, too.
    if (was_first && !in_.queue_.empty())
        if (auto next = std::move(in_.queue_.front()->waiter_))
            next->wake({});
}

bool place::has_turn()
{
    std::scoped_lock lock{in_.mutex_};
    return at_ == in_.queue_.begin();
}

template <class Handler>
void place::begin_wait(Handler handler)
{
    auto slot = asio::get_associated_cancellation_slot(handler);
    auto waiter = std::make_unique<waiter_of<Handler>>(std::move(handler));
    std::scoped_lock lock{in_.mutex_};
    if (slot.is_connected())
        slot.assign([this](asio::cancellation_type) { cancel(); });
    waiter_ = std::move(waiter);
    if (at_ == in_.queue_.begin())
        std::exchange(waiter_, nullptr)->wake({});
}

void place::cancel()
{
    std::scoped_lock lock{in_.mutex_};
    if (auto waiter = std::move(waiter_))
        waiter->wake(asio::error::operation_aborted);
}

task<> place::wait()
{
    auto initiate = [this](auto handler) { begin_wait(std::move(handler)); };
    return asio::async_initiate<const asio::use_awaitable_t<>, void(std::error_code)>(std::move(initiate), asio::use_awaitable);
}

} // namespace coproc::detail
