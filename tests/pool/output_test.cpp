// What workers write to standard error.
#include "pool/stoppable.hpp"
#include "pool/tasks.hpp"
#include "support/temporary_folder.hpp"

#include "os/descriptor.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <unistd.h>

using namespace pool_test;
namespace os = coproc::os;

namespace {

/// Standard error of this process, in a file, while it lives.
class redirected_error {
public:
    redirected_error()
    {
        os::descriptor file{::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)};
        REQUIRE(::dup2(file.get(), STDERR_FILENO) == STDERR_FILENO);
    }
    ~redirected_error() { ::dup2(before_.get(), STDERR_FILENO); }
    [[nodiscard]] std::string text() const
    {
        std::ifstream file{path_};
        return {std::istreambuf_iterator<char>{file}, {}};
    }

private:
    support::temporary_folder folder_;
    std::string path_ = folder_ / "error";
    os::descriptor before_{::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)};
};

int complain_and_die(int lines)
{
    for (int i = 0; i < lines; ++i)
        std::cerr << "line " << i << '\n';
    std::signal(SIGABRT, SIG_DFL);
    std::abort();
}
int complain(int n)
{
    std::fprintf(stderr, "complaint %d\n", n);
    return n;
}
std::size_t write_much(std::size_t bytes)
{
    std::string line(99, 'm');
    for (std::size_t i = 0; i < bytes; i += 100)
        std::fprintf(stderr, "%s\n", line.c_str());
    return bytes;
}
bool error_is_a_file(int)
{
    return ::lseek(STDERR_FILENO, 0, SEEK_CUR) >= 0;
}

coproc::pool_options capturing(int workers)
{
    coproc::pool_options options;
    options.workers = workers;
    options.capture_stderr = true;
    return options;
}

std::string last_output_of(const std::exception_ptr& e)
{
    try {
        if (e)
            std::rethrow_exception(e);
    } catch (const coproc::worker_crashed& crash) {
        CHECK(crash.signal() == SIGABRT);
        return crash.last_output();
    }
    FAIL("it is no crash");
    return {};
}

} // namespace

TEST_CASE("workers have the standard error of the program, and a crash tells nothing of it, unless asked")
{
    redirected_error error;
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{1};
        CHECK(co_await pool.apply(error_is_a_file, 0));
        auto e = co_await failure_of(pool.apply(complain_and_die, 3));
        CHECK(last_output_of(e).empty());
    });
    CHECK(error.text() == "line 0\nline 1\nline 2\n");
}

TEST_CASE("captured standard error is passed on, and the last lines of it are in the crash")
{
    redirected_error error;
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{capturing(1)};
        auto e = co_await failure_of(pool.apply(complain_and_die, 3));
        CHECK(last_output_of(e) == "line 0\nline 1\nline 2");
        CHECK(is<coproc::worker_crashed>(e, "its last output was:\nline 0"));
        e = co_await failure_of(pool.apply(complain_and_die, 0));
        CHECK(last_output_of(e).empty()); // that of another worker
    });
    CHECK(error.text() == "line 0\nline 1\nline 2\n");
}

TEST_CASE("a crash has whole lines of what was written last, 4 KiB at most")
{
    redirected_error error;
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{capturing(1)};
        auto text = last_output_of(co_await failure_of(pool.apply(complain_and_die, 100'000)));
        CHECK(text.size() <= 4096);
        CHECK(text.size() > 4000);
        CHECK(text.starts_with("line "));
        CHECK(text.ends_with("\nline 99999"));
    });
}

TEST_CASE("what a task writes to a captured standard error is passed on before its result is there")
{
    redirected_error error;
    in_loop([&]() -> coproc::task<> {
        coproc::pool pool{capturing(2)};
        co_await pool.map(complain, up_to(100));
        auto text = error.text();
        CHECK(std::ranges::count(text, '\n') == 100);
        CHECK(text.find("complaint 99\n") != std::string::npos);
        co_await pool.close();
    });
}

TEST_CASE("nothing is lost of much that is written to a captured standard error")
{
    redirected_error error;
    in_loop([]() -> coproc::task<> {
        coproc::pool pool{capturing(2)};
        std::vector<std::size_t> sizes(4, 1'000'000);
        co_await pool.map(write_much, sizes, {.chunk_size = 1});
        co_await pool.close();
    });
    CHECK(error.text().size() == 4'000'000);
}

TEST_CASE("a worker that waits for its captured standard error to be read can be ended with its pool")
{
    redirected_error error;
    {
        coproc::pool pool{capturing(1)};
        [[maybe_unused]] auto result = in_loop([&]() -> coproc::task<coproc::async_result<std::size_t>> {
            co_await pool.apply(own_pid);
            co_return pool.submit(write_much, std::size_t{1'000'000});
        });
    }
    CHECK(error.text().size() < 1'000'000);
}
