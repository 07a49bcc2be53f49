// Who takes part: the processes of a program that share something, and who of them sleeps.
//
// One table in the program's file (member_table.hpp). A process enters itself when it first shares anything, and a sleeper (an event loop, or
// a thread that blocks) when it first has to wait. Nobody else's entry is changed but a dead one's.
//
// How a death is noticed. Whoever sleeps watches the pidfds of all processes in the table; a process that enters rings all
// that sleep at that moment, so that they watch it too. So a death wakes every sleeper, and each looks again at what it
// waits for. Nothing polls, and nobody has to be alive but those who wait.
#pragma once

#include "os/descriptor.hpp"
#include "os/doorbell.hpp"
#include "os/memory_file.hpp"
#include "sync/cell.hpp"
#include "sync/member_table.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <sys/types.h>

namespace coproc::detail {

class registry {
public:
    /// This process's view of its program's table. Throws std::system_error (no descriptors, no memory).
    static registry& here();

    /// This process, which is entered at the first call.
    [[nodiscard]] member self() const noexcept { return self_; }
    /// Enters a sleeper. Throws std::system_error when there are 8191 of them and processes.
    [[nodiscard]] member add_sleeper();
    void remove(member sleeper) noexcept;
    /// Whether new processes are to ring it.
    void set_sleeping(member sleeper, bool on) noexcept;

    /// False for sure once somebody has noticed that it is gone.
    [[nodiscard]] bool is_there(member who) const noexcept;
    /// Of a sleeper.
    [[nodiscard]] member process_of(member sleeper) const noexcept;
    /// Asks the kernel whether a process is still there. For who doesn't sleep.
    void check(member process) noexcept;
    /// Somebody noticed that a process has died: its place, and those of its sleepers, are free.
    void bury(member process) noexcept;

    /// Changes when a process enters.
    [[nodiscard]] std::uint32_t version() const noexcept;
    /// Changes when one is buried, before it is gone from the table: who doesn't find it there any more sees the change.
    [[nodiscard]] std::uint32_t deaths() const noexcept;
    /// All processes but this one.
    void for_each_process(const std::function<void(const member_table::process_entry&)>& f) const;

    /// False: nobody is there any more who could be woken.
    bool ring(member sleeper) const noexcept;
    void ring_all() const noexcept;
    [[nodiscard]] std::unique_ptr<os::doorbell> make_doorbell(member sleeper) const;

private:
    registry();
    struct layout;
    [[nodiscard]] cell<std::uint64_t>& name() const noexcept;
    [[nodiscard]] member_table& table() const noexcept;
    member enter(const std::function<member()>& f);

    os::mapping memory_;
    os::bell_ringer ringer_;
    member self_ = 0;
};

/// When a process started, in the kernel's ticks: with its pid it names it for ever. 0: there is no such process.
[[nodiscard]] std::uint64_t start_time_of(pid_t pid) noexcept;

} // namespace coproc::detail
