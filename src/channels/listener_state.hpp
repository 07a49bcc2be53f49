// A listening socket and the clients on their way in.
#pragma once

#include "channels/endpoint.hpp"
#include "channels/turns.hpp"
#include "os/descriptor.hpp"
#include "os/watch_set.hpp"
#include "process/loop_users.hpp"

#include <coproc/listener.hpp>

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <sys/stat.h>
#include <sys/types.h>

namespace coproc::detail {

/// Handshakes are coroutines of their own, on the loop of whoever accepts: they don't end with a cancelled accept, and what
/// comes of them waits here for the next one.
class listener_state final : public loop_user, public std::enable_shared_from_this<listener_state> {
public:
    listener_state(std::string_view address, const listener_options& options);
    ~listener_state() override { close(); }

    [[nodiscard]] task<connection> accept();
    void close() noexcept;
    [[nodiscard]] const std::string& address() const noexcept { return address_; }

    void loop_rests(asio::execution_context&) override {}
    void loop_ends(asio::execution_context& loop) override;

private:
    struct arrived {
        os::descriptor socket;
        std::exception_ptr failure;
    };
    struct handshake_under_way;
    enum class took { client, nobody, no_room };

    took take_client(os::descriptor& client);
    static task<> admit(std::shared_ptr<listener_state> self, os::descriptor client);
    static task<connection> accept_one(std::shared_ptr<listener_state> self);
    [[nodiscard]] bool closed();

    os::descriptor socket_, news_; // news_: a handshake has ended, or the listener
    os::watch_set watched_;        // both
    endpoint at_;
    std::string address_;
    std::optional<std::string> key_;
    const std::chrono::milliseconds limit_;
    pid_t owner_ = 0; // who removes the path
    struct stat file_{};

    std::mutex mutex_; // of what follows
    bool closed_ = false;
    std::size_t handshakes_ = 0;
    std::deque<arrived> arrived_;
    turns acceptors_{mutex_};
};

} // namespace coproc::detail
