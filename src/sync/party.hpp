// Who sleeps until something shared changes: the coroutines of an event loop, or a thread that blocks.
//
// A party has one doorbell, however many wait in it and for how many things. Its own waiters stand in line here, outside of
// shared memory, so that their coming, their cancellation and their order are local matters.
#pragma once

#include "os/doorbell.hpp"
#include "os/watch_set.hpp"
#include "sync/gate.hpp"
#include "sync/registry.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace coproc::detail {

using sleep_limit = std::chrono::steady_clock::time_point; ///< max(): none

/// How many of those that wait for one thing here are woken at a time.
enum class wakes { one, all };

/// One that waits.
class sleeper {
public:
    virtual ~sleeper() = default;
    [[nodiscard]] bool rung() const noexcept { return rung_.load(); }

protected:
    /// Under the party's lock.
    virtual void wake() = 0;

private:
    friend class party;
    std::atomic<bool> rung_{false};
};

class party {
public:
    party(const party&) = delete;
    party& operator=(const party&) = delete;
    virtual ~party();

    [[nodiscard]] member self() const noexcept { return self_; }
    /// False in a forked copy of its process, where nothing shared may be touched in its name.
    [[nodiscard]] bool is_ours() const noexcept;

    /// The sleeper is in line and its word is left: after this the thing is to be looked at once more. Throws
    /// std::system_error when there is no descriptor to watch a process with.
    void begin(const std::shared_ptr<sleeper>& s, gate& at, wakes how);
    /// It waits no more.
    void end(const std::shared_ptr<sleeper>& s, gate& at) noexcept;
    /// Gives back the descriptors of the processes that it watches, which it keeps for the next time that somebody sleeps.
    void forget_processes();

protected:
    party();
    /// Readable when `look` has something to see.
    [[nodiscard]] int number() const noexcept { return watched_.number(); }
    /// Wakes whoever was rung, or may have been.
    void look();
    /// Under the lock: the first has come, or the last has gone.
    virtual void begins() {}
    virtual void ends() {}
    [[nodiscard]] bool nobody() const noexcept { return lines_.empty(); }

    std::mutex mutex_;

private:
    struct queue {
        std::deque<std::shared_ptr<sleeper>> waiting; ///< none of them rung
        wakes how = wakes::one;
        word left = word::none;
    };
    [[nodiscard]] bool watch_processes();
    void wake_line(gate& at, queue& line);
    void wake_everybody();

    registry& all_;
    std::uint64_t stamp_;
    member self_;
    std::unique_ptr<os::doorbell> bell_;
    os::watch_set watched_;
    std::unordered_map<member, os::descriptor> processes_;
    std::uint32_t version_ = 0, deaths_ = 0;
    bool knows_version_ = false;
    std::unordered_map<gate*, queue> lines_;
    std::vector<std::uint64_t> tokens_;
};

/// The thread that calls; made at its first call.
class blocked_thread final : public party {
public:
    static blocked_thread& here();
    /// Until `s` is rung; false: the time is up.
    bool sleep(const sleeper& s, sleep_limit until);
    [[nodiscard]] static std::shared_ptr<sleeper> make_sleeper();
};

} // namespace coproc::detail
