// Signal masks, dispositions and handlers.
#pragma once

#include "os/descriptor.hpp"

namespace coproc::os {

/// Gives every signal with a handler its default action again and unblocks all. What is ignored stays ignored, as after
/// exec.
void reset_signals();
/// Gives one signal its default action.
void reset_signal(int number);

/// Ignores SIGPIPE unless the program has its own idea of it.
void ignore_broken_pipes();

/// A terminal's Ctrl-C reaches every process in front of it. From now on this one leaves that to its parent; SIGINT sent by
/// a process still ends it.
void leave_terminal_interrupts();

/// Catches SIGINT and SIGTERM, once each and only where the program has no handler of its own: the first one writes its
/// number (one byte) to a pipe, the second one has its default action. Restores what was when destroyed.
class interrupt_pipe {
public:
    interrupt_pipe();
    ~interrupt_pipe();
    interrupt_pipe(const interrupt_pipe&) = delete;
    interrupt_pipe& operator=(const interrupt_pipe&) = delete;

    /// Readable after a signal.
    [[nodiscard]] const descriptor& readable() const noexcept { return pipe_.first; }

private:
    descriptor_pair pipe_;
};

} // namespace coproc::os
