#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace coproc {

/// The root of the library's own errors. What the kernel refuses is a std::system_error instead.
class error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// Wrong use: too early, closed, released too often. what() says what to do instead.
class usage_error : public error {
public:
    using error::error;
};

/// A message that is no message of ours: truncated, too long, nested too deep, of another build. Nothing was executed.
class protocol_error : public error {
public:
    using error::error;
};

/// The other side has an object of another type under that name.
class type_error : public error {
public:
    using error::error;
};

/// A peer that does not know the key.
class authentication_error : public error {
public:
    using error::error;
};

/// A task ran out of time; its process has been stopped.
class timeout_error : public error {
public:
    using error::error;
};

/// The task was cancelled before it had a result.
class cancelled_error : public error {
public:
    using error::error;
};

/// A barrier at which not all will meet: a party died, was cancelled or ran out of time while it waited, or gave up.
class broken_barrier : public error {
public:
    using error::error;
};

/// The process of a task died before it gave a result. No other task is harmed.
class worker_crashed : public error {
public:
    /// What is known about the death.
    struct report {
        int signal = 0;                ///< that killed it; 0 if it exited
        int exit_code = -1;            ///< 0..255; -1 if a signal killed it
        int pid = 0;                   ///< of the dead process
        std::size_t index = 0;         ///< of the task's input among the inputs of its map; 0 for a single call
        std::string task_name;         ///< may be empty
        std::string last_output;       ///< the last lines it wrote to standard error, 4 KiB at most, if they were kept: see
                                       ///< pool_options::capture_stderr
    };

    explicit worker_crashed(report what_happened);

    int signal() const noexcept { return report_->signal; }
    int exit_code() const noexcept { return report_->exit_code; }
    int pid() const noexcept { return report_->pid; }
    std::size_t index() const noexcept { return report_->index; }
    const std::string& task_name() const noexcept { return report_->task_name; }
    const std::string& last_output() const noexcept { return report_->last_output; }

private:
    std::shared_ptr<const report> report_;   // shared, so that copies don't throw
};

/// An exception that left a task in another process, as it arrives here.
///
/// It is thrown as an object of two types: the standard type that the task threw (or its nearest standard base), and
/// this one. So `catch (const std::invalid_argument&)` works as if the task had run here, and
/// `catch (const coproc::remote_error&)`, or a dynamic_cast to it, tells the rest. What is not derived from
/// std::exception (`throw 42`) arrives as coproc::error. It is no std::exception itself, so that
/// `catch (const std::exception&)` stays unambiguous.
class remote_error {
public:
    /// What is known about the exception; the texts are as the other process wrote them.
    struct report {
        std::string what;                  ///< exactly as thrown, with no limit
        std::string type_name;             ///< demangled, as thrown: "my::parse_error", "int"
        std::string task_name;             ///< "square"
        std::string trace;                 ///< one line a frame from the throw outwards; empty where none could be had
        std::vector<std::string> causes;   ///< of std::throw_with_nested, outermost first: "type: what"
        int pid = 0;                       ///< of the process that threw
        std::size_t index = 0;             ///< of the task's input among the inputs of its map; 0 for a single call
    };

    virtual ~remote_error();

    virtual const char* what() const noexcept { return report_->what.c_str(); }
    const std::string& type_name() const noexcept { return report_->type_name; }
    const std::string& task_name() const noexcept { return report_->task_name; }
    const std::string& trace() const noexcept { return report_->trace; }
    const std::vector<std::string>& causes() const noexcept { return report_->causes; }
    int pid() const noexcept { return report_->pid; }
    std::size_t index() const noexcept { return report_->index; }

protected:
    explicit remote_error(std::shared_ptr<const report> what_happened) noexcept : report_{std::move(what_happened)} {}
    remote_error(const remote_error&) noexcept = default;
    remote_error& operator=(const remote_error&) noexcept = default;

private:
    std::shared_ptr<const report> report_;
};

}  // namespace coproc
