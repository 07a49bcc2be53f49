// A program at a terminal of its own: what a person's Ctrl-C does can't be sent by kill.
#pragma once

#include <string>
#include <system_error>
#include <vector>

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <pty.h>
#include <spawn.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

namespace tests {

/// Leader of a session whose terminal is ours to type on. The destructor hangs up, kills and reaps it.
class terminal_program {
public:
    terminal_program(const std::string& path, const std::vector<std::string>& arguments)
    {
        int slave = -1;
        char name[128];
        if (::openpty(&master_, &slave, name, nullptr, nullptr) != 0)
            throw std::system_error{errno, std::generic_category(), "openpty"};
        ::fcntl(master_, F_SETFD, FD_CLOEXEC);
        termios silent{};
        ::tcgetattr(slave, &silent);
        silent.c_lflag &= ~static_cast<tcflag_t>(ECHO); // what is typed would stand in front of what is said
        ::tcsetattr(slave, TCSANOW, &silent);
        posix_spawn_file_actions_t files;
        posix_spawn_file_actions_init(&files);
        posix_spawn_file_actions_addopen(&files, 0, name, O_RDWR, 0); // the first terminal a session leader opens is its own
        posix_spawn_file_actions_adddup2(&files, 0, 1);
        posix_spawn_file_actions_adddup2(&files, 0, 2);
        posix_spawn_file_actions_addclosefrom_np(&files, 3);
        posix_spawnattr_t attributes;
        posix_spawnattr_init(&attributes);
        sigset_t all;
        sigfillset(&all);
        posix_spawnattr_setsigdefault(&attributes, &all);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF);
        std::vector<char*> argv{const_cast<char*>(path.c_str())};
        for (const auto& argument : arguments)
            argv.push_back(const_cast<char*>(argument.c_str()));
        argv.push_back(nullptr);
        const int failed = ::posix_spawn(&pid_, path.c_str(), &files, &attributes, argv.data(), environ);
        posix_spawnattr_destroy(&attributes);
        posix_spawn_file_actions_destroy(&files);
        ::close(slave);
        if (failed != 0) {
            ::close(master_);
            throw std::system_error{failed, std::generic_category(), "start of " + path};
        }
    }
    ~terminal_program()
    {
        ::close(master_);
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
        }
    }
    terminal_program(const terminal_program&) = delete;
    terminal_program& operator=(const terminal_program&) = delete;

    void type(const std::string& text) const
    {
        if (::write(master_, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
            throw std::system_error{errno, std::generic_category(), "write to a terminal"};
    }

    /// Reads until a line is `line`, or the program is gone: false. All lines are kept in `lines`.
    bool read_until(const std::string& line)
    {
        for (;;) {
            for (auto at = text_.find('\n'); at != std::string::npos; at = text_.find('\n')) {
                lines.push_back(text_.substr(0, text_.find_first_of("\r\n")));
                text_.erase(0, at + 1);
                if (lines.back() == line)
                    return true;
            }
            char block[512];
            const ssize_t size = ::read(master_, block, sizeof block);
            if (size < 0 && errno == EINTR)
                continue;
            if (size <= 0)
                return false; // EIO: nobody has the terminal open any more
            text_.append(block, static_cast<std::size_t>(size));
        }
    }

    /// Its wait status; waits for its end.
    int wait()
    {
        static_cast<void>(read_until("\x01 no line is this"));
        int status = 0;
        while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {}
        pid_ = -1;
        return status;
    }

    std::vector<std::string> lines;

private:
    int master_ = -1;
    pid_t pid_ = -1;
    std::string text_;
};

} // namespace tests
