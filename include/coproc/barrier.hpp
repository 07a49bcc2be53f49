// A place where a number of parties meet, again and again, in whatever processes.
#pragma once

#include <coproc/detail/shared_object.hpp>
#include <coproc/error.hpp>
#include <coproc/task.hpp>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace coproc {

namespace detail {

/// The last one of a round runs it before anybody is released.
struct barrier_action {
    virtual void run() = 0;

protected:
    ~barrier_action() = default;
};

[[nodiscard]] task<bool> arrive_at(std::shared_ptr<object_place> place, barrier_action* action, std::chrono::steady_clock::time_point until);

} // namespace detail

/// A barrier for a number of parties, that all holders of this handle share: each round ends when all have arrived.
///
///     coproc::barrier barrier{3};
///     if (co_await barrier.arrive_and_wait())   // true for exactly one party of each round
///         ...
///
/// Broken:   a party that dies, is cancelled or runs out of time while it waits breaks the barrier, as abort does: all that
///           wait get broken_barrier, and so does who arrives later, until reset. A process that dies before it arrives is not
///           known to the barrier: give arrive_and_wait_for a time, or abort when you see its end.
/// More:     of more parties than it is made for, each round takes the first to arrive.
/// Lifetime: lives as long as any handle; see detail::shared_object. 896 bytes of shared memory, no descriptor of its own.
/// Errors:   broken_barrier; std::system_error when there is no memory, no descriptor to watch the others with (one for each
///           process that shares anything with this one), or for more than 96 processes at a barrier, which breaks it.
/// Cost:     two atomic instructions to arrive; one message, at the end of a round, for each event loop or thread that waits.
///           Thread-safe.
class barrier : public detail::shared_object {
public:
    /// For one party, who never waits: to be assigned to, or received.
    barrier() noexcept;
    /// Throws usage_error for no parties, and more than 16777215.
    explicit barrier(std::uint32_t parties);

    /// Until all parties of this round have arrived. True for exactly one of them, the last to arrive.
    /// Cancelling (operation_aborted) breaks the barrier if this party had to wait.
    [[nodiscard]] task<bool> arrive_and_wait() const { return detail::arrive_at(place(), nullptr, no_limit); }
    /// For at most `time`; then the barrier is broken, also for the others, and broken_barrier is thrown.
    [[nodiscard]] task<bool> arrive_and_wait_for(std::chrono::nanoseconds time) const { return detail::arrive_at(place(), nullptr, limit(time)); }

    /// The last to arrive calls its `action()` before anybody is released: once for each round if all bring one. What the
    /// action throws breaks the barrier and comes out of this call.
    template <std::invocable Action>
    [[nodiscard]] task<bool> arrive_and_wait(Action action) const
    {
        return arrive_with(place(), std::move(action), no_limit);
    }
    template <std::invocable Action>
    [[nodiscard]] task<bool> arrive_and_wait_for(std::chrono::nanoseconds time, Action action) const
    {
        return arrive_with(place(), std::move(action), limit(time));
    }

    /// Breaks it.
    void abort() const;
    [[nodiscard]] bool broken() const;
    /// Makes it as new. Those that wait get broken_barrier; if nobody does and it isn't broken, nothing happens.
    void reset() const;

    [[nodiscard]] std::uint32_t parties() const;
    /// Parties that have arrived in this round.
    [[nodiscard]] std::uint32_t waiting() const;

private:
    using time_point = std::chrono::steady_clock::time_point;
    static constexpr time_point no_limit = time_point::max();
    static time_point limit(std::chrono::nanoseconds time);

    template <class Action>
    static task<bool> arrive_with(std::shared_ptr<detail::object_place> place, Action action, time_point until)
    {
        struct runner final : detail::barrier_action {
            explicit runner(Action& a) : action{a} {}
            void run() override { static_cast<void>(action()); }
            Action& action;
        } run{action};
        auto arrival = detail::arrive_at(std::move(place), &run, until);
        co_return co_await std::move(arrival);
    }
};

} // namespace coproc
