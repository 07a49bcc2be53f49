#include "support/killed.hpp"

#include "process/loop.hpp"

#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <new>
#include <random>
#include <stdexcept>
#include <string>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

namespace support {
namespace {

void call(const std::function<void()>& f)
{
    if (f)
        f();
}

template <class F>
pid_t copy_that_does(F f)
{
    pid_t child = ::fork();
    if (child != 0)
        return child;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL); // also if the test is killed
    coproc::detail::forget_loops(); // it shares an epoll instance with its original
    [&]() noexcept { f(); }();
    ::_exit(0);
}

int status_of(pid_t child, int options = 0)
{
    int status = 0;
    ::waitpid(child, &status, options);
    return status;
}

// The kernel's own timer kills it, whatever it does then.
void die_in(long microseconds)
{
    sigevent death{};
    death.sigev_notify = SIGEV_SIGNAL;
    death.sigev_signo = SIGKILL;
    timer_t timer{};
    itimerspec time{};
    time.it_value.tv_nsec = microseconds * 1000;
    if (::timer_create(CLOCK_MONOTONIC, &death, &timer) != 0 || ::timer_settime(timer, 0, &time, nullptr) != 0)
        ::_exit(1);
}

#if defined(__x86_64__)

constexpr bool steps_can_be_seen = true;
constexpr std::uintptr_t page = 4096;

struct pages {
    std::uintptr_t begin, end;
};

// What the signal handlers of a copy know.
std::array<pages, 64> shared;
std::size_t shared_count = 0;
std::array<std::uintptr_t, 4> open;
std::size_t open_count = 0;
int steps_to_live = 0;

void make_step()
{
    if (steps_to_live-- == 0)
        ::kill(::getpid(), SIGKILL);
}

// Shared memory can only be read; who writes gets a page for one instruction.
void on_write(int, siginfo_t* info, void*)
{
    auto at = reinterpret_cast<std::uintptr_t>(info->si_addr);
    for (std::size_t i = 0; i < shared_count; ++i)
        if (at >= shared[i].begin && at < shared[i].end && open_count < open.size()) {
            if (open_count == 0)
                make_step();
            open[open_count++] = at / page * page;
            ::mprotect(reinterpret_cast<void*>(at / page * page), page, PROT_READ | PROT_WRITE);
            return;
        }
    std::signal(SIGSEGV, SIG_DFL); // dies of it, after all
}

// What an allocator does now and then (a sanitizer's too) in one copy and not in another one. Nobody else sees it.
bool is_about_own_memory(long call, long third)
{
    return call == SYS_mmap || call == SYS_munmap || call == SYS_mprotect || call == SYS_mremap || call == SYS_brk
           || (call == SYS_madvise && third != MADV_REMOVE);
}

// After each instruction.
void on_instruction(int, siginfo_t*, void* context)
{
    while (open_count > 0)
        ::mprotect(reinterpret_cast<void*>(open[--open_count]), page, PROT_READ);
    auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    auto* next = reinterpret_cast<const unsigned char*>(registers[REG_RIP]);
    const bool calls = next[0] == 0x0f && next[1] == 0x05; // syscall
    if (calls && !is_about_own_memory(registers[REG_RAX], registers[REG_RDX]))
        make_step();
}

void find_shared_memory()
{
    std::ifstream maps{"/proc/self/maps"};
    for (std::string line; std::getline(maps, line);) {
        std::uintptr_t begin = 0, end = 0;
        char rights[5] = {};
        if (std::sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, rights) == 3 && rights[1] == 'w' && rights[3] == 's')
            shared.at(shared_count++) = {begin, end};
    }
}

void set_handler(int signal, void (*handler)(int, siginfo_t*, void*))
{
    struct sigaction action{};
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO;
    ::sigaction(signal, &action, nullptr);
}

void live_for(int steps, const std::function<void()>& body)
{
    steps_to_live = steps;
    find_shared_memory();
    set_handler(SIGSEGV, on_write);
    set_handler(SIGTRAP, on_instruction);
    for (std::size_t i = 0; i < shared_count; ++i)
        ::mprotect(reinterpret_cast<void*>(shared[i].begin), shared[i].end - shared[i].begin, PROT_READ);
    asm volatile("pushfq\n orq $0x100, (%%rsp)\n popfq" ::: "memory", "cc"); // traps after each instruction
    body();
    asm volatile("pushfq\n andq $~0x100, (%%rsp)\n popfq" ::: "memory", "cc");
}

#else

constexpr bool steps_can_be_seen = false;
void live_for(int, const std::function<void()>&) {}

#endif

} // namespace

int killed_before_each_step(const life_of_a_copy& life)
{
    constexpr int dense = 12; // the first ones are never left out
    for (int steps = 0; steps_can_be_seen; steps += slowness > 1 && steps >= dense ? life.sparse : 1) {
        call(life.prepare);
        pid_t child = copy_that_does([&] {
            call(life.first);
            ::raise(SIGSTOP);
            live_for(steps, life.body);
        });
        int status = status_of(child, WUNTRACED);
        if (WIFSTOPPED(status)) {
            call(life.beside);
            ::kill(child, SIGCONT);
            status = status_of(child);
        }
        if (WIFSIGNALED(status) ? WTERMSIG(status) != SIGKILL : WEXITSTATUS(status) != 0)
            throw std::runtime_error{"a copy of this process ended in another way after " + std::to_string(steps) + " steps: status " +
                                     std::to_string(status)};
        life.check(steps);
        if (WIFEXITED(status))
            return steps;
    }
    return 0;
}

void killed_at_any_moment(const life_of_a_copy& life)
{
    using counter = std::atomic<std::uint32_t>;
    auto* memory = ::mmap(nullptr, sizeof(counter), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    auto& turns = *new (memory) counter;
    std::minstd_rand random{29};
    for (int i = 0; i < many_deaths; ++i) {
        turns = 0;
        call(life.prepare);
        const auto microseconds = static_cast<long>(1 + random() % 200) * slowness;
        pid_t child = copy_that_does([&] {
            call(life.first);
            if (!life.together)
                die_in(microseconds);
            for (;; ++turns)
                life.body();
        });
        const auto enough = random() % 8, times = 1 + random() % 4;
        for (std::uint32_t j = 0; j < times || (life.together && turns < enough); ++j)
            call(life.beside);
        if (life.together)
            ::kill(child, SIGKILL);
        if (int status = status_of(child); !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
            throw std::runtime_error{"a copy of this process ended in another way: status " + std::to_string(status)};
        life.check(0);
    }
    ::munmap(memory, sizeof(counter));
}

} // namespace support
