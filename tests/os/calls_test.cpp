// The door to the kernel: interruptions, injected failures, broken pipes.
#include "os/calls.hpp"
#include "os/descriptor.hpp"
#include "os/memory_file.hpp"
#include "os/watch_set.hpp"
#include "support/injection.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <functional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/time.h>
#include <unistd.h>

using namespace coproc;
using os::call;
using support::injection;

namespace {

// What a failure of each kind of call does to what is built on it.
const std::vector<std::pair<call, std::function<void()>>>& makers()
{
    static const std::vector<std::pair<call, std::function<void()>>> all{
        {call::make_pipe, [] { static_cast<void>(os::make_pipe()); }},
        {call::make_socket_pair, [] { static_cast<void>(os::make_packet_pair()); }},
        {call::make_event, [] { static_cast<void>(os::make_event()); }},
        {call::make_watch_set, [] { os::watch_set{}; }},
        {call::make_memory_file, [] { static_cast<void>(os::make_memory_file("test", 4096)); }},
        {call::resize, [] { static_cast<void>(os::make_memory_file("test", 4096)); }},
        {call::map, [] { static_cast<void>(os::map(os::make_memory_file("test", 4096), 4096, os::access::read)); }},
        {call::open, [] { static_cast<void>(os::open_file("/dev/null", O_RDONLY)); }},
        {call::duplicate, [] { static_cast<void>(os::make_event().duplicate()); }},
    };
    return all;
}

// Signals this thread every millisecond, with a handler that interrupts system calls.
class signal_storm {
public:
    signal_storm()
    {
        struct sigaction action{};
        action.sa_handler = [](int) { ++count; };
        ::sigaction(SIGALRM, &action, &before_);
        const itimerval each{{0, 1000}, {0, 1000}};
        ::setitimer(ITIMER_REAL, &each, nullptr);
    }
    ~signal_storm()
    {
        const itimerval never{};
        ::setitimer(ITIMER_REAL, &never, nullptr);
        ::sigaction(SIGALRM, &before_, nullptr);
    }
    inline static std::atomic<int> count = 0;

private:
    struct sigaction before_{};
};

} // namespace

TEST_CASE("an interrupted call is made again", "[os]")
{
    for (const auto& [which, make] : makers()) {
        INFO("call " << static_cast<int>(which));
        injection three{injection::fails(which, EINTR, 3)};
        CHECK_NOTHROW(make());
    }
}

TEST_CASE("a call that fails is a system_error with its errno, and leaves no descriptor", "[os]")
{
    for (const auto& [which, make] : makers())
        for (int error : {EMFILE, ENFILE, ENOMEM}) {
            INFO("call " << static_cast<int>(which) << " error " << error);
            injection one{injection::fails(which, error)};
            try {
                make();
                FAIL("nothing was thrown");
            } catch (const std::system_error& e) {
                CHECK(e.code() == std::error_code(error, std::generic_category()));
                CHECK(std::string{e.what()}.size() > 10);
            }
        }
}

TEST_CASE("a read or write moves no more than the injector lets through", "[os]")
{
    auto pipe = os::make_pipe();
    {
        injection one{injection::moves_at_most(call::write, 1)};
        CHECK(os::write(pipe.second.get(), "abc", 3) == 1);
    }
    CHECK(os::write(pipe.second.get(), "bc", 2) == 2);
    std::array<char, 8> to{};
    injection two{injection::moves_at_most(call::read, 2)};
    CHECK(os::read(pipe.first.get(), to.data(), to.size()) == 2);
    CHECK(os::read(pipe.first.get(), to.data() + 2, to.size() - 2) == 1);
    CHECK(std::string{to.data()} == "abc");
}

TEST_CASE("the injector is replaced and comes back", "[os]")
{
    injection outer{injection::fails(call::read, EIO, 100)};
    {
        const auto before = os::set_injector(nullptr);
        CHECK(os::injected_error(call::read) == 0);
        os::set_injector(before);
    }
    CHECK(os::injected_error(call::read) == EIO);
}

TEST_CASE("a write to a pipe without reader is EPIPE and raises no signal", "[os]")
{
    struct sigaction standard{}, before{};
    standard.sa_handler = GENERATE(SIG_DFL, SIG_IGN);
    ::sigaction(SIGPIPE, &standard, &before);
    auto pipe = os::make_pipe();
    pipe.first.reset();
    CHECK(os::write(pipe.second.get(), "x", 1) == -1);
    CHECK(errno == EPIPE);
    sigset_t pending;
    sigpending(&pending);
    CHECK(sigismember(&pending, SIGPIPE) == 0);
    ::sigaction(SIGPIPE, &before, nullptr);
}

TEST_CASE("a SIGPIPE that was pending before a write is still pending after it", "[os]")
{
    sigset_t broken_pipe, before;
    sigemptyset(&broken_pipe);
    sigaddset(&broken_pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &broken_pipe, &before);
    struct sigaction standard{}, old{};
    standard.sa_handler = SIG_DFL;
    ::sigaction(SIGPIPE, &standard, &old);
    ::raise(SIGPIPE);
    auto pipe = os::make_pipe();
    pipe.first.reset();
    CHECK(os::write(pipe.second.get(), "x", 1) == -1);
    const timespec at_once{};
    CHECK(sigtimedwait(&broken_pipe, nullptr, &at_once) == SIGPIPE);
    ::sigaction(SIGPIPE, &old, nullptr);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST_CASE("a wait that signals interrupt lasts as long as it was meant to, not longer for each of them", "[os]")
{
    auto pipe = os::make_pipe();
    signal_storm storm;
    const int before = signal_storm::count;
    const auto begin = std::chrono::steady_clock::now();
    pollfd p{pipe.first.get(), POLLIN, 0};
    // Were the whole time begun again after each signal, this would never end: the hang guard tells.
    CHECK(os::poll(&p, 1, 50) == 0);
    CHECK(std::chrono::steady_clock::now() - begin >= std::chrono::milliseconds{49});
    CHECK(signal_storm::count > before);
}

TEST_CASE("every byte arrives through a pipe while signals interrupt its reader", "[os]")
{
    constexpr std::size_t total = 4 << 20;
    auto pipe = os::make_pipe();
    sigset_t alarm, before;
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &alarm, &before); // the writer inherits this: the signals are all the reader's
    std::thread writer{[&] {
        std::vector<unsigned char> bytes(total);
        for (std::size_t i = 0; i < total; ++i)
            bytes[i] = static_cast<unsigned char>(i % 251);
        for (std::size_t at = 0; at < total;) {
            const ssize_t size = os::write(pipe.second.get(), bytes.data() + at, std::min<std::size_t>(4096, total - at));
            if (size < 0)
                return;
            at += static_cast<std::size_t>(size);
        }
        pipe.second.reset();
    }};
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    std::size_t at = 0, wrong = 0;
    {
        signal_storm storm;
        std::array<unsigned char, 5000> block;
        for (ssize_t size; (size = os::read(pipe.first.get(), block.data(), block.size())) > 0;)
            for (ssize_t i = 0; i < size; ++i, ++at)
                wrong += block[static_cast<std::size_t>(i)] != at % 251;
    }
    writer.join();
    CHECK(at == total);
    CHECK(wrong == 0);
}
