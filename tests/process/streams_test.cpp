// Standard streams of a process.
#include "process/support.hpp"
#include "support/eventually.hpp"
#include "support/proc.hpp"
#include "support/temporary_folder.hpp"

#include <coproc/error.hpp>

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>
#include <system_error>

#include <fcntl.h>

using namespace coproc;
using namespace tests;

namespace {

std::string contents(const std::string& path)
{
    std::ifstream file{path};
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

void write_bytes(int count)
{
    const std::string block(static_cast<std::size_t>(count), 'b');
    for (std::size_t at = 0; at < block.size();) {
        const ssize_t size = ::write(1, block.data() + at, block.size() - at);
        if (size <= 0)
            ::_exit(9);
        at += static_cast<std::size_t>(size);
    }
}

} // namespace

TEST_CASE("output and error in pipes are read apart")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        auto options = piped(method);
        options.standard_error = pipe_stream;
        process p = co_await process::start(options, [] {
            std::cout << "to output";
            std::cerr << "to error";
        });
        const auto out = co_await all_output(p);
        const auto err = co_await p.read_error();
        const auto end_of_error = co_await p.read_error();
        CHECK(out == "to output");
        CHECK(err == "to error");
        CHECK_FALSE(end_of_error);
    });
}

TEST_CASE("a read gives no more than it was asked for")
{
    await([]() -> task<> {
        process p = co_await process::start(piped(start_method::forkserver), [] { std::cout << "abcdef"; });
        static_cast<void>(co_await p.join());
        const auto first = co_await p.read_output(4);
        const auto second = co_await p.read_output(4);
        const auto third = co_await p.read_output(4);
        CHECK(first == "abcd");
        CHECK(second == "ef");
        CHECK_FALSE(third);
    });
}

TEST_CASE("output of a file stream replaces the file, of an append stream goes to its end")
{
    EACH_START_METHOD(method);
    const support::temporary_folder folder;
    const std::string path = folder.path() / "out";
    std::ofstream{path} << "old";
    await([&]() -> task<> {
        auto options = by(method);
        options.standard_output = file_stream(path);
        process a = co_await process::start(options, [] { std::cout << "new"; });
        static_cast<void>(co_await a.join());
        CHECK(contents(path) == "new");
        options.standard_output = append_stream(path);
        process b = co_await process::start(options, [] { std::cout << " and more"; });
        static_cast<void>(co_await b.join());
        CHECK(contents(path) == "new and more");
    });
}

TEST_CASE("input of a file stream is the file's")
{
    EACH_START_METHOD(method);
    const support::temporary_folder folder;
    const std::string path = folder.path() / "in";
    std::ofstream{path} << "41";
    await([&]() -> task<> {
        auto options = by(method);
        options.standard_input = file_stream(path);
        process p = co_await process::start(options, [] {
            int number = 0;
            std::cin >> number;
            return number + 1;
        });
        const auto end = co_await p.join();
        CHECK(end.code() == 42);
    });
}

TEST_CASE("a null stream reads as empty and takes everything")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        auto options = by(method);
        options.standard_input = null_stream;
        options.standard_output = null_stream;
        process p = co_await process::start(options, [] {
            write_bytes(1 << 20);
            return ::getchar() == EOF ? 3 : 4;
        });
        const auto end = co_await p.join();
        CHECK(end.code() == 3);
    });
}

TEST_CASE("a kept stream is what the parent has now, not what it had when the fork server was started")
{
    EACH_START_METHOD(method);
    const support::temporary_folder folder;
    const std::string path = folder.path() / "now";
    await([&]() -> task<> {
        process first = co_await process::start(by(method), [] {});
        static_cast<void>(co_await first.join());
        std::cout.flush();
        const int kept = ::fcntl(1, F_DUPFD_CLOEXEC, 3);
        const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        ::dup2(file, 1);
        process second = co_await process::start(by(method), [] { std::cout << "there"; });
        const auto end = co_await second.join();
        ::dup2(kept, 1);
        ::close(kept);
        ::close(file);
        CHECK(end.ok());
        CHECK(contents(path) == "there");
    });
}

TEST_CASE("the output of a process that wrote 128 KiB and more is complete, however late it is read", "[PRC-050]")
{
    EACH_START_METHOD(method);
    for (int size : {128 * 1024, (1 << 20) - 1, 1 << 20}) {
        await([=]() -> task<> {
            process p = co_await process::start(piped(method), [](int count) {
                ::fcntl(1, F_SETPIPE_SZ, 1 << 20); // all of it fits, so that the process can end before it is read
                write_bytes(count);
                return 1;
            }, size);
            const auto end = co_await p.join();
            CHECK(end.code() == 1);
            const auto text = co_await all_output(p);
            CHECK(text == std::string(static_cast<std::size_t>(size), 'b'));
        });
    }
}

TEST_CASE("a process that writes more than a pipe holds ends once it is read")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        process p = co_await process::start(piped(method), write_bytes, 3 << 20);
        const auto text = co_await all_output(p);
        const auto end = co_await p.join();
        CHECK(text.size() == 3u << 20);
        CHECK(end.ok());
    });
}

TEST_CASE("what a killed process wrote before its death is not lost")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        process p = co_await process::start(piped(method), [] {
            write_bytes(40000);
            wait_for_the_end();
        });
        std::string text;
        const auto first = co_await p.read_output(1);
        text += *first;
        // Its last byte is in the pipe once it waits in pause.
        CHECK(support::eventually([&] { return support::state_of(p.pid()) == 'S'; }));
        p.kill();
        static_cast<void>(co_await p.join());
        text += co_await all_output(p);
        CHECK(text.size() == 40000);
    });
}

TEST_CASE("a handle that is dropped while its process is blocked on a full pipe ends it", "[PRC-049]")
{
    EACH_START_METHOD(method);
    int pid = 0;
    await([&]() -> task<> {
        process p = co_await process::start(piped(method), write_bytes, 10 << 20);
        pid = p.pid();
        static_cast<void>(co_await p.read_output(1));
        CHECK(support::eventually([&] { return support::state_of(pid) == 'S'; }));
    });
    CHECK(support::state_of(pid) == '\0');
}

TEST_CASE("a process that is killed while it is blocked on a full pipe is seen to end")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        process p = co_await process::start(piped(method), write_bytes, 10 << 20);
        static_cast<void>(co_await p.read_output(1));
        p.kill();
        const auto end = co_await p.join();
        CHECK(end == exit_status{-1, SIGKILL});
    });
}

TEST_CASE("input is fed whole, and ends when it is closed")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        auto options = piped(method);
        options.standard_input = pipe_stream;
        process p = co_await process::start(options, [] {
            std::size_t count = 0;
            for (int c; (c = ::getchar()) != EOF;)
                count += c == 'i';
            say(std::to_string(count));
        });
        const std::string text(1 << 20, 'i');
        const bool written = co_await p.write_input(text);
        p.close_input();
        const auto line = co_await line_of(p);
        CHECK(written);
        CHECK(line == std::to_string(1 << 20));
    });
}

TEST_CASE("input that is closed while it is written ends after the write, and takes no other one")
{
    EACH_START_METHOD(method);
    auto options = piped(method);
    options.standard_input = pipe_stream;
    process p = sync_wait(process::start(options, [] {
        std::size_t count = 0;
        for (int c; (c = ::getchar()) != EOF;)
            count += c == 'i';
        say(std::to_string(count));
    }));
    p.send_signal(SIGSTOP);
    REQUIRE(support::eventually([&] { return support::state_of(p.pid()) == 'T'; }));
    asio::io_context loop;
    int written = 0;
    asio::co_spawn(loop, p.write_input(std::string(1 << 20, 'i')), [&](std::exception_ptr failure, bool all) { written = !failure && all ? 1 : 2; });
    loop.poll(); // the pipe is full now
    REQUIRE(written == 0);
    p.close_input();
    CHECK_THROWS_AS(sync_wait(p.write_input("i")), usage_error);
    p.send_signal(SIGCONT);
    loop.run();
    CHECK(written == 1);
    CHECK(await([&] { return line_of(p); }) == std::to_string(1 << 20));
}

TEST_CASE("a read of no bytes is refused, as it would look like the end of the stream")
{
    await([]() -> task<> {
        auto options = piped(start_method::forkserver);
        options.standard_error = pipe_stream;
        process p = co_await process::start(options, [] {
            std::cout << "out";
            std::cerr << "err";
        });
        int refused = 0;
        for (bool error : {false, true}) {
            try {
                static_cast<void>(error ? co_await p.read_error(0) : co_await p.read_output(0));
            } catch (const usage_error&) {
                ++refused;
            }
        }
        const auto out = co_await all_output(p);
        const auto err = co_await p.read_error();
        CHECK(refused == 2);
        CHECK(out == "out");
        CHECK(err == "err");
    });
}

TEST_CASE("128 KiB fed to a process that closes its input end without an error", "[PRC-062]")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        auto options = by(method);
        options.standard_input = pipe_stream;
        process p = co_await process::start(options, [] {
            ::close(0);
            return 12;
        });
        const bool written = co_await p.write_input(std::string(128 * 1024, 'i'));
        const auto end = co_await p.join();
        CHECK_FALSE(written);
        CHECK(end.code() == 12);
    });
}

TEST_CASE("a stream that is no pipe can't be read or written, and the error says how it can")
{
    await([]() -> task<> {
        process p = co_await process::start(by(start_method::forkserver), wait_for_the_end);
        for (int which : {0, 1, 2}) {
            std::string said;
            try {
                if (which == 0)
                    static_cast<void>(co_await p.write_input("x"));
                else if (which == 1)
                    static_cast<void>(co_await p.read_output());
                else
                    static_cast<void>(co_await p.read_error());
            } catch (const usage_error& e) {
                said = e.what();
            }
            CHECK_THAT(said, Catch::Contains("pipe_stream"));
        }
        p.close_input(); // harmless
    });
}

TEST_CASE("a file that can't be opened is named, and nothing is started", "[PRC-063]")
{
    EACH_START_METHOD(method);
    for (int which : {0, 1, 2}) {
        auto options = by(method);
        auto& stream = which == 0 ? options.standard_input : which == 1 ? options.standard_output : options.standard_error;
        stream = file_stream("/no/such/folder/file");
        try {
            await([=]() -> task<> { static_cast<void>(co_await process::start(options, [] {})); });
            FAIL("it was started");
        } catch (const std::system_error& e) {
            CHECK(e.code() == std::errc::no_such_file_or_directory);
            CHECK_THAT(e.what(), Catch::Contains("/no/such/folder/file"));
        }
    }
    CHECK(active_children().empty());
}

TEST_CASE("a join returns at the end of the process, although its own child still holds its output", "[PRC-048]")
{
    EACH_START_METHOD(method);
    await([=]() -> task<> {
        process p = co_await process::start(piped(method), []() -> task<> {
            process child = co_await process::start(wait_for_the_end);
            say(std::to_string(child.pid()));
            child.detach();
        });
        const auto line = co_await line_of(p);
        const auto end = co_await p.join();
        CHECK(end.ok());
        const int grandchild = std::atoi(line.c_str());
        REQUIRE(grandchild > 0);
        CHECK_FALSE(support::has_ended(grandchild));
        support::kill_now(grandchild);
        const auto rest = co_await all_output(p);
        CHECK(rest.empty());
    });
}
