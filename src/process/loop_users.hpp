// Those who have operations on an event loop and must let go of it in time.
#pragma once

#include <asio/any_io_executor.hpp>
#include <asio/execution_context.hpp>

#include <memory>
#include <mutex>
#include <vector>

namespace coproc::detail {

/// Something that outlives the loop it is on, or goes on on another one.
class loop_user {
public:
    virtual ~loop_user() = default;
    /// sync_wait or run has returned: nobody runs the loop any more, for now.
    virtual void loop_rests(asio::execution_context& loop) = 0;
    /// The loop is about to be destroyed, and what is on it: the last moment to let go.
    virtual void loop_ends(asio::execution_context& loop) = 0;
};

/// The users of one loop; a service of it, so that they hear of its end whoever made it. Thread-safe.
class loop_users final : public asio::execution_context::service {
public:
    using key_type = loop_users;
    static asio::execution_context::id id;

    explicit loop_users(asio::execution_context& loop);
    void add(std::weak_ptr<loop_user> user);
    void rest();

private:
    void shutdown() override;
    std::vector<std::shared_ptr<loop_user>> take();

    std::mutex mutex_;
    std::vector<std::weak_ptr<loop_user>> users_;
};

[[nodiscard]] asio::execution_context& loop_of(const asio::any_io_executor& executor);

} // namespace coproc::detail
