// Runs small programs of a few virtual processes in every order there is, and with what may happen to them in between: a
// death, a cancellation. Knows nothing of what they do.
//
// A virtual process is a context of its own on this thread. It calls `step` before each access to what it shares; there
// the schedule says who goes on. One schedule is run from the beginning to the end; the next one differs in the last choice
// that had another option (depth first). A schedule that comes to where another one has been is given up: that is known by
// what everybody has read so far, what is shared, and what may still happen.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include <ucontext.h>

namespace explorer {

/// What may happen in one schedule. `switches`: how often a process is interrupted that could have gone on.
struct budget {
    int switches = 2, deaths = 0, cancellations = 0;
};

struct findings {
    std::size_t schedules = 0, states = 0;
    std::string failure; ///< the first one, with the steps that lead there; empty: there is none
};

class schedule {
public:
    static constexpr std::size_t most = 4; ///< processes

    /// What the virtual processes call, in their contexts.
    static schedule& now() { return *current_; }
    [[nodiscard]] std::size_t running() const { return running_; }
    /// Others may run here. `what` must be a literal.
    void step(const char* what);
    /// A value that the running process has read: what it does from here on depends on it.
    void reads(std::uint64_t value)
    {
        if (auto& history = its().history; !ghosts_)
            history = mix(history ^ value);
    }
    /// Sleeps until `ready`, or until it is cancelled: false.
    bool sleep(std::function<bool()> ready);
    /// Who runs was cancelled, and has done something about it: it may sleep again.
    void forget_cancellation() { its().cancelled = false; }
    void fail(const std::string& why);
    /// The processes that are left behind run to their ends, so that nothing leaks; what they do means nothing.
    [[nodiscard]] bool ghosts() const { return ghosts_; }
    /// As one instruction, which nobody sees.
    template <class F>
    auto quietly(F f)
    {
        struct quiet {
            bool& ghosts;
            bool before = std::exchange(ghosts, true);
            ~quiet() { ghosts = before; }
        } now{ghosts_};
        return f();
    }
    [[nodiscard]] bool alive(std::size_t who) const { return !processes_[who]->dead; }
    [[nodiscard]] bool cancelled(std::size_t who) const { return processes_[who]->cancelled; }
    [[nodiscard]] bool sleeps(std::size_t who) const { return !processes_[who]->dead && processes_[who]->sleeping; }

    std::vector<std::function<void()>> bodies;
    std::function<void()> prepare;                          ///< before each schedule
    std::function<std::uint64_t()> shared_state = [] { return std::uint64_t{0}; };
    std::function<void(std::size_t)> on_death = [](std::size_t) {};
    std::function<void()> at_each_step = [] {};
    std::function<void()> at_end = [] {}; ///< all have ended, or died
    std::function<bool()> may_hang = [] { return false; }; ///< asked when those that are left sleep and nobody can wake them

    findings explore(budget most_of_it, std::size_t most_schedules = 50'000'000);

    static std::uint64_t mix(std::uint64_t x)
    {
        x += 0x9e3779b97f4a7c15;
        x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
        x = (x ^ x >> 27) * 0x94d049bb133111eb;
        return x ^ x >> 31;
    }

private:
    enum class kind : std::uint8_t { run, kill, cancel };
    struct option {
        kind what;
        std::uint8_t who;
        std::uint8_t costs;
    };
    struct choice {
        std::vector<option> options;
        std::size_t taken = 0;
    };
    struct process {
        ucontext_t context{};
        std::unique_ptr<std::byte[]> stack{new std::byte[stack_size]};
        std::function<bool()> ready; ///< while it sleeps
        bool begun = false, ended = false, dead = false, sleeping = false, cancelled = false;
        std::uint64_t history = 0;
    };
    static constexpr std::size_t stack_size = 256 * 1024, longest = 5000;

    process& its() { return *processes_[running_]; }
    bool can_run(const process& p) const { return !p.dead && !p.ended && (!p.sleeping || p.cancelled || p.ready()); }
    void decide();
    bool been_here();
    std::vector<option> options() const;
    void go_to(std::size_t next);
    void run_once();
    void run_ghosts();
    static void body();

    inline static schedule* current_ = nullptr;
    std::array<std::unique_ptr<process>, most> processes_;
    ucontext_t driver_{};
    std::size_t running_ = 0;
    bool over_ = false, ghosts_ = false;
    budget left_;
    std::vector<choice> choices_;
    std::size_t depth_ = 0, steps_ = 0;
    std::unordered_set<std::uint64_t> seen_;
    std::vector<std::string> log_;
    bool logging_ = false;
    std::string failure_;
};

inline void schedule::body()
{
    auto& all = now();
    all.bodies[all.running_]();
    all.its().ended = true;
    swapcontext(&all.its().context, &all.driver_);
}

inline bool schedule::been_here()
{
    std::uint64_t hash = mix(running_);
    for (int n : {left_.switches, left_.deaths, left_.cancellations})
        hash = mix(hash ^ static_cast<std::uint64_t>(n));
    for (std::size_t i = 0; i < bodies.size(); ++i) {
        auto& p = *processes_[i];
        hash = mix(hash ^ p.history);
        hash = mix(hash ^ (std::uint64_t{p.ended} | std::uint64_t{p.dead} << 1 | std::uint64_t{p.sleeping} << 2 | std::uint64_t{p.cancelled} << 3));
    }
    return !seen_.insert(mix(hash ^ shared_state())).second;
}

inline std::vector<schedule::option> schedule::options() const
{
    std::vector<option> result;
    bool goes_on = can_run(*processes_[running_]);
    if (goes_on)
        result.push_back({kind::run, static_cast<std::uint8_t>(running_), 0});
    for (std::size_t i = 0; i < bodies.size(); ++i)
        if (i != running_ && can_run(*processes_[i]) && (!goes_on || left_.switches > 0))
            result.push_back({kind::run, static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(goes_on)});
    for (std::size_t i = 0; i < bodies.size(); ++i) {
        auto& p = *processes_[i];
        if (left_.deaths > 0 && !p.dead && !p.ended)
            result.push_back({kind::kill, static_cast<std::uint8_t>(i), 1});
        if (left_.cancellations > 0 && !p.dead && p.sleeping && !p.cancelled)
            result.push_back({kind::cancel, static_cast<std::uint8_t>(i), 1});
    }
    return result;
}

// Says who runs next (running_), or that this schedule is over.
inline void schedule::decide()
{
    at_each_step();
    for (;;) {
        bool anybody = false, somebody_sleeps = false;
        for (std::size_t i = 0; i < bodies.size(); ++i) {
            anybody = anybody || can_run(*processes_[i]);
            somebody_sleeps = somebody_sleeps || (processes_[i]->sleeping && !processes_[i]->dead);
        }
        if (!anybody) {
            if (somebody_sleeps && !may_hang())
                fail("somebody sleeps for ever");
            at_end();
            over_ = true;
            return;
        }
        if (++steps_ > longest) {
            fail("it never ends");
            over_ = true;
            return;
        }
        if (depth_ == choices_.size()) {
            if (been_here()) {
                over_ = true;
                return;
            }
            choices_.push_back({options()});
        }
        auto& here = choices_[depth_++];
        auto chosen = here.options[here.taken];
        auto& p = *processes_[chosen.who];
        switch (chosen.what) {
        case kind::run:
            left_.switches -= chosen.costs;
            running_ = chosen.who;
            return;
        case kind::kill:
            --left_.deaths;
            p.dead = true;
            if (logging_)
                log_.push_back(std::to_string(chosen.who) + " is killed");
            on_death(chosen.who);
            break;
        case kind::cancel:
            --left_.cancellations;
            p.cancelled = true;
            if (logging_)
                log_.push_back(std::to_string(chosen.who) + " is cancelled");
            break;
        }
    }
}

inline void schedule::step(const char* what)
{
    if (ghosts_)
        return;
    auto& me = its();
    me.history = mix(me.history + 1);
    auto self = running_;
    decide();
    if (over_)
        swapcontext(&me.context, &driver_);
    else if (running_ != self)
        swapcontext(&me.context, &driver_);
    if (logging_ && !ghosts_)
        log_.push_back(std::to_string(running_) + " " + what);
}

inline bool schedule::sleep(std::function<bool()> ready)
{
    if (ghosts_)
        return false;
    auto& me = its();
    me.ready = std::move(ready);
    me.sleeping = true;
    step("sleeps");
    me.sleeping = false;
    return !ghosts_ && !me.cancelled;
}

inline void schedule::fail(const std::string& why)
{
    if (ghosts_ || over_ || !failure_.empty())
        return;
    failure_ = why;
}

inline void schedule::run_ghosts()
{
    ghosts_ = true;
    for (std::size_t i = 0; i < bodies.size(); ++i)
        while (processes_[i]->begun && !processes_[i]->ended) {
            running_ = i;
            swapcontext(&driver_, &processes_[i]->context);
        }
    ghosts_ = false;
}

inline void schedule::run_once()
{
    running_ = 0;
    depth_ = steps_ = 0;
    over_ = false;
    log_.clear();
    for (std::size_t i = 0; i < bodies.size(); ++i) {
        if (!processes_[i])
            processes_[i] = std::make_unique<process>();
        auto& p = *processes_[i];
        p.begun = p.ended = p.dead = p.sleeping = p.cancelled = false;
        p.history = 0;
    }
    quietly(prepare);
    decide();
    while (!over_) {
        auto& p = its();
        if (!p.begun) {
            p.begun = true;
            getcontext(&p.context);
            p.context.uc_stack.ss_sp = p.stack.get();
            p.context.uc_stack.ss_size = stack_size;
            p.context.uc_link = nullptr;
            makecontext(&p.context, &schedule::body, 0);
        }
        swapcontext(&driver_, &p.context);
        if (its().ended && !over_)
            decide();
    }
    run_ghosts();
}

inline findings schedule::explore(budget most_of_it, std::size_t most_schedules)
{
    current_ = this;
    seen_.clear();
    choices_.clear();
    failure_.clear();
    logging_ = false;
    findings result;
    for (;;) {
        left_ = most_of_it;
        run_once();
        ++result.schedules;
        if (!failure_.empty()) { // once more, to tell how it came
            result.failure = std::exchange(failure_, {});
            logging_ = true;
            left_ = most_of_it;
            run_once();
            for (auto& line : log_)
                result.failure += "\n  " + line;
            break;
        }
        while (!choices_.empty() && choices_.back().taken + 1 == choices_.back().options.size())
            choices_.pop_back();
        if (choices_.empty())
            break;
        ++choices_.back().taken;
        if (result.schedules == most_schedules) {
            result.failure = "too many schedules";
            break;
        }
    }
    result.states = seen_.size();
    return result;
}

/// A word that virtual processes share: like std::atomic with sequential consistency.
template <class T>
class cell {
public:
    T load(int = 0) const
    {
        schedule::now().step("load");
        return read(value_);
    }
    T load(std::memory_order) const { return load(); }
    void store(T value)
    {
        schedule::now().step("store");
        value_ = value;
    }
    T exchange(T value)
    {
        schedule::now().step("exchange");
        return read(std::exchange(value_, value));
    }
    bool compare_exchange_strong(T& expected, T value)
    {
        schedule::now().step("compare_exchange");
        if (read(value_) == expected) {
            value_ = value;
            return true;
        }
        expected = value_;
        return false;
    }
    bool compare_exchange_weak(T& expected, T value) { return compare_exchange_strong(expected, value); }
    T fetch_add(T by)
    {
        schedule::now().step("fetch_add");
        return read(std::exchange(value_, static_cast<T>(value_ + by)));
    }
    T fetch_add(T by, std::memory_order) { return fetch_add(by); }
    T fetch_and(T by)
    {
        schedule::now().step("fetch_and");
        return read(std::exchange(value_, static_cast<T>(value_ & by)));
    }
    void store(T value, std::memory_order) { store(value); }

    /// For checks: nobody runs in between.
    T peek() const { return value_; }
    void put(T value) { value_ = value; }

private:
    static T read(T value)
    {
        schedule::now().reads(static_cast<std::uint64_t>(value));
        return value;
    }
    T value_;
};

} // namespace explorer
