#include "sync/loop_party.hpp"

#include <asio/async_result.hpp>
#include <asio/error.hpp>
#include <asio/io_context.hpp>
#include <asio/redirect_error.hpp>
#include <asio/strand.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_awaitable.hpp>

#include <system_error>
#include <typeinfo>
#include <utility>

namespace coproc::detail {
namespace {

// Asio 1.22's `target` doesn't look at the type.
template <class E>
const E* as(const asio::any_io_executor& executor)
{
    return executor.target_type() == typeid(E) ? executor.target<E>() : nullptr;
}

// What a coroutine's strand runs on: its party serves others too, and must not wait for what blocks that strand.
asio::any_io_executor without_strand(const asio::any_io_executor& executor)
{
    if (auto* on_any = as<asio::strand<asio::any_io_executor>>(executor))
        return without_strand(on_any->get_inner_executor());
    if (auto* on_loop = as<asio::strand<asio::io_context::executor_type>>(executor))
        return on_loop->get_inner_executor();
    if (auto* on_threads = as<asio::strand<asio::thread_pool::executor_type>>(executor))
        return on_threads->get_inner_executor();
    return executor;
}

} // namespace

/// A loop's party, and its end with the loop.
class loop_parties final : public asio::execution_context::service {
public:
    using key_type = loop_parties;
    static asio::execution_context::id id;

    explicit loop_parties(asio::execution_context& loop) : service{loop} {}

    loop_party& get(const asio::any_io_executor& executor)
    {
        std::scoped_lock lock{mutex_};
        if (party_ && !party_->is_ours())
            static_cast<void>(party_.release()); // of the process that this one is a copy of
        if (!party_)
            party_.reset(new loop_party{without_strand(executor)});
        return *party_;
    }

private:
    // The coroutines that wait are destroyed after this: they find a party that nobody wakes any more.
    void shutdown() override
    {
        if (!party_)
            return;
        std::scoped_lock lock{party_->mutex_};
        if (party_->readiness_) {
            static_cast<void>(party_->readiness_->release());
            party_->readiness_.reset();
        }
    }

    std::mutex mutex_;
    std::unique_ptr<loop_party> party_;
};

asio::execution_context::id loop_parties::id;

loop_party::loop_party(const asio::any_io_executor& executor) { readiness_.emplace(executor, number()); }

loop_party::~loop_party()
{
    if (readiness_)
        static_cast<void>(readiness_->release());
}

loop_party& loop_party::of(const asio::any_io_executor& executor)
{
    return asio::use_service<loop_parties>(asio::query(executor, asio::execution::context)).get(executor);
}

void loop_party::begins()
{
    if (!std::exchange(listening_, true))
        listen();
}

void loop_party::ends()
{
    if (readiness_)
        readiness_->cancel();
}

void loop_party::listen()
{
    if (!readiness_)
        return;
    readiness_->async_wait(asio::posix::stream_descriptor::wait_read, [this](std::error_code error) {
        if (!is_ours()) // a copy of its loop
            return;
        if (!error)
            look();
        std::scoped_lock lock{mutex_};
        if (nobody())
            listening_ = false;
        else
            listen();
    });
}

void loop_party::waiting_coroutine::wake()
{
    std::scoped_lock lock{mutex_};
    woken_ = true;
    timer_.cancel();
}

std::shared_ptr<loop_party::waiting_coroutine> loop_party::make_sleeper(const asio::any_io_executor& executor)
{
    return std::make_shared<waiting_coroutine>(executor);
}

task<bool> loop_party::sleep(std::shared_ptr<waiting_coroutine> s, sleep_limit until)
{
    auto start = [s, until](auto handler) {
        std::scoped_lock lock{s->mutex_};
        s->timer_.expires_at(s->woken_ ? sleep_limit::min() : until);
        s->timer_.async_wait(std::move(handler));
    };
    std::error_code error;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    auto end = asio::async_initiate<decltype(token), void(std::error_code)>(std::move(start), token);
    co_await std::move(end);
    if (s->rung())
        co_return true;
    if (error)
        throw std::system_error{asio::error::operation_aborted};
    co_return false;
}

} // namespace coproc::detail
