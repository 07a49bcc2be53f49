// Other programs as test subjects: twins (tests/twins/NAME.cpp, found by support::twin), samples, this test program itself.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace support {

/// How a program ended, and what it wrote.
struct program_result {
    std::optional<int> exit_code; ///< empty if a signal ended it
    int signal = 0;               ///< the signal that ended it, or 0
    bool timed_out = false;       ///< it was killed since its limit had passed
    std::string out;              ///< all of standard output, also of its children that inherited it
    std::string err;
};

/// The path of the twin `name`.
[[nodiscard]] std::string twin(const std::string& name);

/// A running program, in a process group of its own, with pipes on its three standard streams and nothing else inherited.
/// The destructor kills its whole group and reaps it.
class program {
public:
    /// Throws std::system_error if it can't be started.
    explicit program(const std::string& path, const std::vector<std::string>& arguments = {});
    ~program();
    program(const program&) = delete;
    program& operator=(const program&) = delete;

    [[nodiscard]] pid_t pid() const { return pid_; }

    /// Writes to its standard input. Throws std::system_error (EPIPE) if nobody reads it any more.
    void write(const std::string& text);
    void close_input();

    /// The next line of its standard output without the newline; empty at the end of output or once `limit` has passed.
    [[nodiscard]] std::optional<std::string> read_line(std::chrono::milliseconds limit = std::chrono::seconds{10});

    /// Sends a signal to the program; `kill_group` to it and to its children that are still in its group, as Ctrl-C does.
    void kill(int signal) const;
    void kill_group(int signal) const;

    /// Closes its input, then waits until it has ended and nobody holds its outputs open any more. Once `limit` has
    /// passed it is killed with its group.
    [[nodiscard]] program_result wait(std::chrono::milliseconds limit = std::chrono::seconds{30});

private:
    bool fill(std::chrono::steady_clock::time_point end);
    void reap();

    pid_t pid_ = -1;
    int input_ = -1, output_ = -1, error_ = -1;
    std::string out_, err_;
    std::size_t lines_read_ = 0; // characters of out_ that read_line has given away
    std::optional<int> status_;
};

/// Starts a program, gives it `input`, waits for its end.
[[nodiscard]] program_result run_program(const std::string& path, const std::vector<std::string>& arguments = {},
                                         const std::string& input = {}, std::chrono::milliseconds limit = std::chrono::seconds{30});

} // namespace support
