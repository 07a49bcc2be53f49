// A process that runs one function.
#pragma once

#include <coproc/detail/entry.hpp>
#include <coproc/exit_status.hpp>
#include <coproc/process_options.hpp>
#include <coproc/task.hpp>
#include <coproc/this_process.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace coproc {

namespace detail {
class process_state;
struct process_factory;
}

/// How to stop a process that may not want to: each step is taken if the one before had no effect in its time.
struct stop_policy {
    std::chrono::milliseconds after_interrupt{0};    ///< SIGINT first, and wait so long; 0 leaves the step out
    std::chrono::milliseconds after_terminate{2000}; ///< then SIGTERM, and wait so long; 0 leaves the step out
};                                                   ///< then SIGKILL

/// A handle of a process of its own that runs one function; what std::thread is for a thread.
///
/// Empty when default constructed or moved from. The destructor kills (SIGKILL) and reaps a process that was neither joined
/// nor detached. Thread-safe: each member may be called while another one runs, and many may wait. But what empties the
/// handle (detach, moving from or to it, its destructor) needs it for itself, as with any object; waits that go on then
/// keep what they need.
class process {
public:
    process() noexcept = default;
    process(process&&) noexcept = default;
    process& operator=(process&& other) noexcept;
    ~process();

    /// Starts `f(args...)` in a new process and completes once it is there and has accepted the call.
    ///
    /// f:       a function, a captureless lambda, a serializable function object, bind_front(...); also one that returns
    ///          task<> or task<int>, which runs on an event loop of the new process. The arguments are converted to its
    ///          parameter types and serialized before start returns, so they need not outlive it.
    /// Ends:    when f returns. Its exit code is f's result if that is an int (or task<int>), else 0; an exception that
    ///          leaves f is printed to standard error, exit code 1. Standard streams are flushed; static objects are not
    ///          destroyed.
    /// Throws:  std::system_error if the system has no more processes, descriptors or memory, or for a directory or file of
    ///          the options; usage_error before coproc::run or coproc::init. Nothing is left behind then.
    /// Cancel:  the process is killed.
    /// Cost:    one third of a millisecond by the fork server.
    template <class F, class... Args>
        requires(!std::is_same_v<std::remove_cvref_t<F>, process_options>)
    [[nodiscard]] static task<process> start(F&& f, Args&&... args)
    {
        return start(process_options{}, std::forward<F>(f), std::forward<Args>(args)...);
    }
    template <class F, class... Args>
    [[nodiscard]] static task<process> start(const process_options& options, F&& f, Args&&... args)
    {
        detail::buffer call;
        if constexpr (detail::check_body<F, Args...>()) {
            output_archive archive{call};
            detail::encode_body_function<std::decay_t<F>, Args...>(archive, f);
            detail::encode_arguments(archive, f, std::forward<Args>(args)...);
        }
        return start_encoded(options, std::move(call));
    }

    [[nodiscard]] int pid() const;
    [[nodiscard]] const std::string& name() const;
    [[nodiscard]] start_method method() const;
    /// False once it has ended, joined or not.
    [[nodiscard]] bool running() const;
    /// How it ended; nothing while it runs.
    [[nodiscard]] std::optional<coproc::exit_status> exit_status() const;
    /// Whether this handle has a process at all.
    [[nodiscard]] bool valid() const noexcept { return state_ != nullptr; }
    /// A pidfd: readable once the process has ended. It belongs to the handle; don't close it.
    [[nodiscard]] int native_handle() const;

    /// Completes when the process has ended, at once if it has. Cancelling the wait leaves the process alone.
    [[nodiscard]] task<coproc::exit_status> join();
    /// As join, but gives up after `time`: nothing then, and the process runs on. 0 or less only looks.
    [[nodiscard]] task<std::optional<coproc::exit_status>> join_for(std::chrono::nanoseconds time);

    /// Sends SIGTERM. It and the following do nothing if the process has ended: no stranger is ever signalled.
    void terminate();
    /// Sends SIGKILL.
    void kill();
    /// Sends SIGINT. (That of a terminal's Ctrl-C is ignored by all processes; this one is not.)
    void interrupt();
    /// Sends any signal.
    void send_signal(int number);
    /// Stops it step by step and completes when it has ended.
    [[nodiscard]] task<coproc::exit_status> stop(stop_policy policy = {});
    /// Lets the process live on by itself: it outlives this handle, and its parent too. The handle is empty then.
    void detach();

    /// What the process wrote to a standard stream that is a pipe: at least one byte and at most `most`; nothing at the end
    /// of the stream. What was written before its death is not lost, as long as the handle lives.
    /// Throws: usage_error if the stream is no pipe, or `most` is 0.
    [[nodiscard]] task<std::optional<std::string>> read_output(std::size_t most = 65536);
    [[nodiscard]] task<std::optional<std::string>> read_error(std::size_t most = 65536);
    /// Writes all of `text` to a standard input that is a pipe. False: the process does not read any more.
    /// Throws: usage_error if it is no pipe, or close_input was called before.
    [[nodiscard]] task<bool> write_input(std::string text);
    /// Ends the standard input of the process; not before writes that are under way are done.
    void close_input();

private:
    friend struct detail::process_factory;
    explicit process(std::shared_ptr<detail::process_state> state) noexcept;
    static task<process> start_encoded(const process_options& options, detail::buffer call);
    detail::process_state& state() const;

    std::shared_ptr<detail::process_state> state_;
};

/// The processes that this one started by coproc and that still run, pools' workers among them.
[[nodiscard]] std::vector<process_info> active_children();

/// A start method for one part of the program.
class context {
public:
    explicit context(start_method method) noexcept : method_{method} {}
    [[nodiscard]] start_method method() const noexcept { return method_; }

    /// As process::start, by this method.
    template <class F, class... Args>
        requires(!std::is_same_v<std::remove_cvref_t<F>, process_options>)
    [[nodiscard]] task<process> start(F&& f, Args&&... args) const
    {
        return start(process_options{}, std::forward<F>(f), std::forward<Args>(args)...);
    }
    template <class F, class... Args>
    [[nodiscard]] task<process> start(process_options options, F&& f, Args&&... args) const
    {
        options.method = method_;
        return process::start(options, std::forward<F>(f), std::forward<Args>(args)...);
    }

private:
    start_method method_;
};

} // namespace coproc
