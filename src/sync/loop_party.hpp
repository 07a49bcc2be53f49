// The coroutines of an event loop that wait for something shared.
#pragma once

#include "sync/party.hpp"

#include <coproc/task.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/execution_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/steady_timer.hpp>

#include <memory>
#include <mutex>
#include <optional>

namespace coproc::detail {

/// A party whose doorbell its loop waits for, only while somebody waits: so it doesn't keep the loop from ending.
class loop_party final : public party {
public:
    /// That of the executor's loop; made at the first call. Throws std::system_error.
    static loop_party& of(const asio::any_io_executor& executor);
    ~loop_party() override;

    class waiting_coroutine;
    [[nodiscard]] static std::shared_ptr<waiting_coroutine> make_sleeper(const asio::any_io_executor& executor);
    /// Until it is rung; false: the time is up. Throws operation_aborted when the coroutine was cancelled, and not rung.
    static task<bool> sleep(std::shared_ptr<waiting_coroutine> s, sleep_limit until);

private:
    explicit loop_party(const asio::any_io_executor& executor);
    void begins() override;
    void ends() override;
    void listen();

    std::optional<asio::posix::stream_descriptor> readiness_; ///< of what is watched
    bool listening_ = false;

    friend class loop_parties;
};

class loop_party::waiting_coroutine final : public sleeper {
public:
    explicit waiting_coroutine(const asio::any_io_executor& executor) : timer_{executor} {}

private:
    friend class loop_party;
    void wake() override;

    std::mutex mutex_; // of a loop with several threads
    bool woken_ = false;
    asio::steady_timer timer_;
};

} // namespace coproc::detail
