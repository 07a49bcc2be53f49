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
    for (auto* p = first_; p; p = p->behind_)
        if (p->waiter_ && p->waiter_->loop == &loop)
            to.push_back(std::move(p->waiter_));
}

place::place(turns& in) : in_{in}
{
    std::scoped_lock lock{in_.mutex_};
    before_ = std::exchange(in_.last_, this);
    (before_ ? before_->behind_ : in_.first_) = this;
    at_once_ = !before_;
}

place::~place()
{
    std::scoped_lock lock{in_.mutex_};
    (before_ ? before_->behind_ : in_.first_) = behind_;
    (behind_ ? behind_->before_ : in_.last_) = before_;
    // Under the lock: the next one's frame, and so its loop, can't go before it has left the queue, too.
    if (!before_ && behind_)
        if (auto next = std::move(behind_->waiter_))
            next->wake({});
    if (in_.idle() && in_.owner_)
        in_.owner_->all_have_left();
}

bool place::is_first()
{
    std::scoped_lock lock{in_.mutex_};
    return !before_;
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
    if (!before_)
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
