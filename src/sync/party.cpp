#include "sync/party.hpp"

#include "os/calls.hpp"
#include "os/error.hpp"
#include "os/stamp.hpp"

#include <algorithm>
#include <cerrno>
#include <poll.h>
#include <utility>

namespace coproc::detail {
namespace {

constexpr std::uint64_t bell_token = 0; // the others are members

} // namespace

party::party() : all_{registry::here()}, stamp_{os::process_stamp()}, self_{all_.add_sleeper()}
{
    try {
        bell_ = all_.make_doorbell(self_);
        watched_.add_readable(bell_->number(), bell_token);
    } catch (...) {
        all_.remove(self_);
        throw;
    }
}

party::~party()
{
    if (is_ours())
        all_.remove(self_);
}

bool party::is_ours() const noexcept { return stamp_ == os::process_stamp(); }

// A process that has died since it entered is seen at once: its pidfd is readable. True: one has died and been buried
// before it could be watched, so that whoever sleeps must look again.
bool party::watch_processes()
{
    auto version = all_.version();
    if (knows_version_ && version == version_)
        return false;
    std::erase_if(processes_, [&](auto& known) { return !all_.is_there(known.first); });
    int error = 0;
    all_.for_each_process([&](const member_table::process_entry& p) {
        if (processes_.contains(p.who) || error != 0)
            return;
        os::descriptor watch{os::open_process(p.pid)};
        if (!watch && errno != ESRCH)
            error = errno;
        else if (!watch || start_mark(start_time_of(p.pid)) != p.start_mark) // it is gone, and its number may be another one's now
            all_.bury(p.who);
        else {
            watched_.add_readable(watch.get(), p.who);
            processes_.emplace(p.who, std::move(watch));
        }
    });
    if (error != 0)
        os::fail(error, "watching a process that shares something");
    version_ = version;
    knows_version_ = true;
    auto known = std::exchange(deaths_, all_.deaths()); // asked for last: see registry::bury
    return known != deaths_;
}

void party::begin(const std::shared_ptr<sleeper>& s, gate& at, wakes how)
{
    std::scoped_lock lock{mutex_};
    s->rung_ = false;
    bool first = lines_.empty();
    auto& line = lines_[&at];
    line.how = how;
    line.waiting.push_back(s);
    try {
        if (first) {
            all_.set_sleeping(self_, true); // before the table is read: who enters later rings
            begins();
        }
        if (watch_processes() && !first) // this one looks anyway
            wake_everybody();
    } catch (...) {
        line.waiting.pop_back();
        if (line.waiting.empty())
            lines_.erase(&at);
        if (lines_.empty()) {
            all_.set_sleeping(self_, false);
            ends();
        }
        throw;
    }
    if (line.left == word::none)
        line.left = leave_word(at, self_, all_);
}

void party::end(const std::shared_ptr<sleeper>& s, gate& at) noexcept
{
    std::scoped_lock lock{mutex_};
    auto found = lines_.find(&at);
    if (found == lines_.end())
        return;
    std::erase(found->second.waiting, s);
    if (!found->second.waiting.empty())
        return;
    if (found->second.left == word::in_its_place && is_ours())
        take_word_back(at, self_);
    lines_.erase(found);
    if (lines_.empty() && is_ours()) {
        all_.set_sleeping(self_, false);
        ends();
    }
}

void party::forget_processes()
{
    std::scoped_lock lock{mutex_};
    if (!lines_.empty())
        return;
    processes_.clear();
    knows_version_ = false;
}

// Those that wait on leave word again before anybody who was woken looks: nobody can change the thing unseen.
void party::wake_line(gate& at, queue& line)
{
    line.left = word::none;
    std::size_t count = line.how == wakes::all ? line.waiting.size() : std::min<std::size_t>(1, line.waiting.size());
    std::vector<std::shared_ptr<sleeper>> woken(line.waiting.begin(), line.waiting.begin() + static_cast<std::ptrdiff_t>(count));
    line.waiting.erase(line.waiting.begin(), line.waiting.begin() + static_cast<std::ptrdiff_t>(count));
    if (!line.waiting.empty())
        line.left = leave_word(at, self_, all_);
    for (auto& s : woken) {
        s->rung_ = true;
        s->wake();
    }
}

void party::wake_everybody()
{
    for (auto& [at, line] : lines_)
        for (auto& s : std::exchange(line.waiting, {})) {
            s->rung_ = true;
            s->wake();
        }
}

void party::look()
{
    std::scoped_lock lock{mutex_};
    tokens_.clear();
    watched_.collect(tokens_);
    bell_->quiet();
    bool somebody_died = false;
    for (auto token : tokens_)
        if (token != bell_token) {
            auto dead = static_cast<member>(token);
            all_.bury(dead);
            processes_.erase(dead);
            somebody_died = true;
        }
    try {
        somebody_died = watch_processes() || somebody_died;
    } catch (const std::system_error&) { // whoever sleeps next is told
        knows_version_ = false;
    }
    for (auto& [at, line] : lines_)
        if (line.left == word::in_the_crowd || (line.left == word::in_its_place && !has_place(*at, self_)))
            wake_line(*at, line);
    if (somebody_died)
        wake_everybody();
}

namespace {

class thread_sleeper final : public sleeper {
    void wake() override {}
};

int milliseconds_until(sleep_limit until)
{
    if (until == sleep_limit::max())
        return -1;
    auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now()).count();
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, 1'000'000'000));
}

} // namespace

blocked_thread& blocked_thread::here()
{
    struct place {
        std::unique_ptr<blocked_thread> party;
        std::uint64_t stamp = 0;
    };
    static thread_local place mine;
    if (mine.stamp != os::process_stamp()) {
        static_cast<void>(mine.party.release()); // of the process that this one is a copy of
        mine.party.reset(new blocked_thread);
        mine.stamp = os::process_stamp();
    }
    return *mine.party;
}

std::shared_ptr<sleeper> blocked_thread::make_sleeper() { return std::make_shared<thread_sleeper>(); }

bool blocked_thread::sleep(const sleeper& s, sleep_limit until)
{
    while (!s.rung()) {
        pollfd ready{number(), POLLIN, 0};
        int milliseconds = milliseconds_until(until);
        int count = os::poll(&ready, 1, milliseconds);
        if (count > 0)
            look();
        else if (count == 0 && std::chrono::steady_clock::now() >= until)
            return false;
    }
    return true;
}

} // namespace coproc::detail
