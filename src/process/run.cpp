#include <coproc/run.hpp>

#include "os/calls.hpp"
#include "os/descriptor.hpp"
#include "os/error.hpp"
#include "os/signals.hpp"
#include "process/child_main.hpp"
#include "process/fork_server.hpp"
#include "process/loop.hpp"
#include "process/loop_users.hpp"
#include "process/process_state.hpp"
#include "process/runtime.hpp"

#include <coproc/error.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/posix/stream_descriptor.hpp>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fcntl.h>
#include <memory>
#include <unistd.h>

namespace coproc {
namespace detail {
namespace {

struct thread_loop {
    asio::io_context context{1};
    bool runs = false;
    bool runs_in_turns = false; // further up the stack: it does not rest when a sync_wait ends
};
thread_local std::unique_ptr<thread_loop> this_loop;

thread_loop& own_loop()
{
    if (!this_loop)
        this_loop = std::make_unique<thread_loop>();
    return *this_loop;
}

void rest(thread_loop& loop)
{
    if (asio::has_service<loop_users>(loop.context))
        asio::use_service<loop_users>(loop.context).rest();
}

// While it lives, the thread's loop is running.
class running {
public:
    running() : loop_{own_loop()}
    {
        if (loop_.runs)
            throw usage_error{"sync_wait can't wait in a coroutine, on the thread whose event loop would have to go on: use co_await"};
        loop_.runs = true;
        loop_.context.restart();
    }
    ~running()
    {
        if (this_loop.get() != &loop_)
            return; // it was given up
        loop_.runs = false;
        if (!loop_.runs_in_turns)
            rest(loop_);
    }
    running(const running&) = delete;
    running& operator=(const running&) = delete;

private:
    thread_loop& loop_;
};

class one_turn {
public:
    one_turn() { this_loop->runs = true; }
    ~one_turn() { this_loop->runs = false; }
    one_turn(const one_turn&) = delete;
    one_turn& operator=(const one_turn&) = delete;
};

// Runs when main returns or exit is called, in the process that called init and in no copy of it.
void end_of_program()
{
    if (this_runtime().self.pid == ::getpid()) {
        kill_children();
        this_fork_server().stop();
    }
}

// Waits for a signal of the interrupt pipe; what it caught is kept in `number`.
void cancel_on_interrupt(asio::posix::stream_descriptor& pipe, asio::cancellation_signal& cancel, int& number)
{
    pipe.async_wait(asio::posix::descriptor_base::wait_read, [&](std::error_code error) {
        unsigned char byte = 0;
        if (error || os::read(pipe.native_handle(), &byte, 1) != 1)
            return;
        number = byte;
        cancel.emit(asio::cancellation_type::all);
    });
}

} // namespace

asio::io_context& this_thread_loop() { return own_loop().context; }

std::optional<asio::any_io_executor> running_loop()
{
    if (this_loop && this_loop->runs)
        return this_loop->context.get_executor();
    return std::nullopt;
}

void forget_loops() noexcept { static_cast<void>(this_loop.release()); }

loop_turns::loop_turns()
{
    auto& loop = own_loop();
    if (loop.runs || loop.runs_in_turns)
        throw usage_error{"this thread's event loop is running already"};
    loop.runs_in_turns = true;
    loop.context.restart();
}

loop_turns::~loop_turns()
{
    if (given_up())
        return;
    this_loop->runs_in_turns = false;
    rest(*this_loop);
}

bool loop_turns::given_up() const noexcept { return !this_loop || !this_loop->runs_in_turns; }
void loop_turns::give_up() { auto given_up = std::move(this_loop); }

bool loop_turns::poll_one()
{
    one_turn now;
    return this_loop->context.poll_one() != 0;
}

bool loop_turns::run_one()
{
    one_turn now;
    return this_loop->context.run_one() != 0;
}

void run_until_done(task<> work)
{
    running guard;
    auto& loop = this_thread_loop();
    struct outcome {
        bool done = false;
        std::exception_ptr failure;
    };
    auto end = std::make_shared<outcome>();
    asio::co_spawn(loop, std::move(work), [end](std::exception_ptr e) {
        end->failure = e;
        end->done = true;
    });
    try {
        while (!end->done)
            if (loop.run_one() == 0)
                throw usage_error{"sync_wait: nothing is left on this thread's event loop that the work could wait for"};
    } catch (...) {
        // The work is still on the loop and refers to what its caller is about to destroy: it ends here, with the loop.
        auto given_up = std::move(this_loop);
        throw;
    }
    if (end->failure)
        std::rethrow_exception(end->failure);
}

int run_main(int argc, char** argv, const std::function<task<int>(std::vector<std::string>)>& main)
{
    init(argc, argv);
    int code = 0, interrupt = 0;
    {
        running guard;
        auto& loop = this_thread_loop();
        os::interrupt_pipe interrupts;
        asio::posix::stream_descriptor pipe{loop, interrupts.readable().get()};
        asio::cancellation_signal cancel;
        cancel_on_interrupt(pipe, cancel, interrupt);
        asio::co_spawn(loop, main({argv, argv + argc}), asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr failure, int result) {
            code = result;
            if (failure && interrupt == 0) {
                code = 1;
                try {
                    std::rethrow_exception(failure);
                } catch (const std::exception& e) {
                    std::fprintf(stderr, "coproc: main ended by an exception: %s\n", e.what());
                } catch (...) {
                    std::fprintf(stderr, "coproc: main ended by an exception that is not derived from std::exception\n");
                }
            }
            loop.stop();
        }));
        try {
            loop.run();
        } catch (const std::exception& e) { // of a handler that the program put on the loop itself
            std::fprintf(stderr, "coproc: an exception left the event loop: %s\n", e.what());
            code = 1;
        }
        // A signal that came while main was ending: its processes may have died of it first.
        if (unsigned char byte = 0; interrupt == 0 && os::read(pipe.native_handle(), &byte, 1) == 1)
            interrupt = byte;
        static_cast<void>(pipe.release());
    }
    this_loop.reset(); // destroys what else was running there
    end_of_program();
    return interrupt != 0 ? 128 + interrupt : code;
}

} // namespace detail

void init(int argc, char** argv)
{
    auto& runtime = detail::this_runtime();
    if (runtime.begun)
        return;
    runtime.arguments.assign(argv, argv + argc);
    detail::become_what_was_asked();
    os::fill_standard_streams();
    runtime.self.pid = this_process::pid();
    runtime.executable = os::open_file("/proc/self/exe", O_PATH);
    os::ignore_broken_pipes();
    runtime.begun = true;
    std::atexit(detail::end_of_program);
}

} // namespace coproc
