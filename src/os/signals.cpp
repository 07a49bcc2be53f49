#include "os/signals.hpp"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <unistd.h>

namespace coproc::os {
namespace {

constexpr int interrupts[] = {SIGINT, SIGTERM};
std::atomic<int> interrupt_writer{-1};
std::atomic<bool> caught[2];

// The next one, of either kind, is deadly.
void forward(int number)
{
    int kept = errno;
    for (int i = 0; i < 2; ++i)
        if (caught[i].load(std::memory_order_relaxed))
            reset_signal(interrupts[i]);
    auto byte = static_cast<unsigned char>(number);
    [[maybe_unused]] auto written = ::write(interrupt_writer.load(std::memory_order_relaxed), &byte, 1);
    errno = kept;
}

void end_unless_terminal(int number, siginfo_t* info, void*)
{
    if (info->si_code == SI_KERNEL)
        return;
    reset_signal(number);
    ::raise(number); // pending until the handler returns, then deadly
}

} // namespace

void reset_signal(int number)
{
    struct sigaction standard{};
    standard.sa_handler = SIG_DFL;
    ::sigaction(number, &standard, nullptr);
}

void reset_signals()
{
    for (int number = 1; number < NSIG; ++number) {
        struct sigaction now{};
        if (::sigaction(number, nullptr, &now) == 0 && now.sa_handler != SIG_IGN && now.sa_handler != SIG_DFL)
            reset_signal(number);
    }
    sigset_t none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, nullptr);
}

void ignore_broken_pipes()
{
    struct sigaction now{};
    if (::sigaction(SIGPIPE, nullptr, &now) == 0 && now.sa_handler == SIG_DFL) {
        now.sa_handler = SIG_IGN;
        ::sigaction(SIGPIPE, &now, nullptr);
    }
}

void leave_terminal_interrupts()
{
    struct sigaction action{};
    action.sa_sigaction = end_unless_terminal;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    ::sigaction(SIGINT, &action, nullptr);
}

interrupt_pipe::interrupt_pipe() : pipe_{make_pipe()}
{
    pipe_.first.set_non_blocking(true);
    pipe_.second.set_non_blocking(true);
    interrupt_writer.store(pipe_.second.get());
    for (int i = 0; i < 2; ++i) {
        struct sigaction now{};
        ::sigaction(interrupts[i], nullptr, &now);
        if (now.sa_handler != SIG_DFL)
            continue;
        now.sa_handler = forward;
        now.sa_flags = SA_RESTART;
        caught[i] = ::sigaction(interrupts[i], &now, nullptr) == 0;
    }
}

interrupt_pipe::~interrupt_pipe()
{
    for (int i = 0; i < 2; ++i)
        if (caught[i].exchange(false))
            reset_signal(interrupts[i]);
    interrupt_writer.store(-1);
}

} // namespace coproc::os
