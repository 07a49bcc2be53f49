// What call_options::on_progress has yet to be told of a call. Guarded by the pool's lock, like its job.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include <asio/steady_timer.hpp>

namespace coproc::detail {

class progress_news {
public:
    using clock = std::chrono::steady_clock;
    struct event {
        std::size_t done = 0;
        std::optional<std::size_t> total;
        std::optional<std::size_t> index; ///< of a report
        double fraction = 0;
        std::string text;
    };

    void add_done(std::size_t count, std::optional<std::size_t> total);
    void add_report(std::size_t index, double fraction, std::string text, bool at_once, std::optional<std::size_t> total);
    /// The call has succeeded: all that there was is done. The rest is due.
    void complete();
    /// The call has ended, one way or another: the rest is due.
    void end() noexcept { due_ = clock::time_point::min(); }

    /// There is something that should be told now.
    [[nodiscard]] bool due() const { return !events_.empty() && clock::now() >= due_; }
    /// There is something that should be told then.
    [[nodiscard]] std::optional<clock::time_point> due_at() const { return events_.empty() ? std::nullopt : std::optional{due_}; }
    /// It is being told.
    std::deque<event> take();

    std::unique_ptr<asio::steady_timer> timer; ///< set for due_at

private:
    void add(event what);

    std::deque<event> events_;
    std::size_t done_ = 0;
    std::optional<event> last_count_; ///< that was added
    clock::time_point due_ = clock::time_point::min();
};

} // namespace coproc::detail
