// Bytes that processes share, anonymous and with names; how names end.
#include "os/named_memory.hpp"
#include "shared/name_watch.hpp"
#include "shared/support.hpp"
#include "support/eventually.hpp"
#include "support/injection.hpp"
#include "support/program.hpp"

#include <coproc/error.hpp>
#include <coproc/pool.hpp>
#include <coproc/shared_memory.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <fcntl.h>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

using namespace shared_test;
using coproc::shared_memory;
namespace os = coproc::os;

namespace {

/// A name of this test alone.
std::string new_name()
{
    static std::atomic<int> count{0};
    return "coproc-test-" + std::to_string(::getpid()) + "-" + std::to_string(++count);
}

std::string path_of(const std::string& name) { return "/dev/shm/" + name; }
bool exists(const std::string& name) { return std::filesystem::exists(path_of(name)); }
bool goes(const std::string& name)
{
    return support::eventually([&] { return !exists(name); });
}

/// A name that is gone after the test, if the test fails.
struct name_for_test {
    std::string name = new_name();
    ~name_for_test() { ::unlink(path_of(name).c_str()); }
    operator const std::string&() const { return name; }
};

template <class F>
int error_of(F f)
{
    try {
        f();
    } catch (const std::system_error& e) {
        return e.code().value();
    }
    return 0;
}

bool watch_runs() { return coproc::detail::name_watch_pid() != 0; }

/// A twin with names, and the number it printed.
struct twin {
    support::program program;
    int number;

    explicit twin(const std::vector<std::string>& arguments) : program{support::twin("named_memory"), arguments}, number{0}
    {
        auto line = program.read_line();
        REQUIRE(line);
        number = std::atoi(line->c_str());
    }
};

} // namespace

TEST_CASE("anonymous memory is zero, shared by copies and by other processes", "[SHM-007]")
{
    shared_memory memory{5000};
    CHECK(memory.size() == 5000);
    CHECK(std::ranges::all_of(memory, [](std::byte b) { return b == std::byte{0}; }));
    CHECK(memory.name().empty());
    CHECK_FALSE(memory.owns());
    auto body = [](shared_memory there) {
        there.as<int>()[3] = 33;
        return there.size() == 5000 ? 0 : 1;
    };
    REQUIRE(in_process(body, memory) == 0);
    CHECK(memory.as<int>()[3] == 33);
    CHECK(memory.as<double>().size() == 625);
    CHECK_THROWS_AS(memory.release(), coproc::usage_error);
    CHECK_THROWS_AS(memory.take_over(), coproc::usage_error);
}

TEST_CASE("memory that is sent is the same here and empty when it is empty", "[SHM-016]")
{
    shared_memory memory{100}, empty{0};
    CHECK(passed_on<shared_memory>(memory).data() == memory.data());
    CHECK(passed_on<shared_memory>(empty).empty());
    CHECK(empty.begin() == empty.end());
    CHECK(mapped_files() == 1);
}

TEST_CASE("more than the machine has is refused, with a name and without", "[SHM-019]")
{
    name_for_test name;
    CHECK(error_of([] { shared_memory{std::size_t{1} << 50}; }) == ENOMEM);
    CHECK(error_of([&] { (void)shared_memory::create(name, std::size_t{1} << 50); }) == ENOMEM);
    CHECK_FALSE(exists(name));
}

TEST_CASE("named memory is a file of exactly that size, of the user alone, and goes with its last handle")
{
    name_for_test name;
    {
        auto memory = shared_memory::create(name, 5000);
        auto copy = memory;
        memory = {};
        struct stat status{};
        REQUIRE(::stat(path_of(name).c_str(), &status) == 0);
        CHECK(status.st_size == 5000);
        CHECK((status.st_mode & 0777) == 0600);
        CHECK(copy.name() == name.name);
        CHECK(copy.owns());
        CHECK(std::ranges::all_of(copy, [](std::byte b) { return b == std::byte{0}; }));
        CHECK(watch_runs());
    }
    CHECK_FALSE(exists(name));
    CHECK_FALSE(watch_runs());
    CHECK(open_files() == 0);
}

TEST_CASE("a name that is in use is refused, a missing one is not found", "[SHM-002]")
{
    name_for_test name;
    auto memory = shared_memory::create(name, 10);
    memory.as<char>()[0] = 'x';
    CHECK(error_of([&] { (void)shared_memory::create(name, 20); }) == EEXIST);
    CHECK(shared_memory::open(name).as<char>()[0] == 'x');
    CHECK(error_of([] { (void)shared_memory::open(new_name()); }) == ENOENT);
    memory = {};
    CHECK(error_of([&] { (void)shared_memory::open(name); }) == ENOENT);
    CHECK(shared_memory::create(name, 20).size() == 20);
}

TEST_CASE("memory without a given name gets one that nobody has", "[SHM-003]")
{
    auto a = shared_memory::create("", 10), b = shared_memory::create("", 10);
    CHECK(a.name() != b.name());
    CHECK(exists(a.name()));
    CHECK(shared_memory::open(b.name()).size() == 10);
}

TEST_CASE("a size of zero and what can be no name are refused", "[SHM-004][SHM-005][RTR-006]")
{
    CHECK_THROWS_AS(shared_memory::create(new_name(), 0), coproc::usage_error);
    CHECK_THROWS_AS(shared_memory::open(""), coproc::usage_error);
    using namespace std::string_literals;
    for (auto& name : {"a\0b"s, "\0"s, "a/b"s, "/"s, "."s, ".."s, std::string(256, 'n')}) {
        CHECK_THROWS_AS(shared_memory::create(name, 10), coproc::usage_error);
        CHECK_THROWS_AS(shared_memory::open(name), coproc::usage_error);
        CHECK_THROWS_AS(shared_memory::remove(name), coproc::usage_error);
    }
    CHECK_FALSE(watch_runs());
}

TEST_CASE("memory that is smaller than what is asked for is not opened", "[SHM-011]")
{
    name_for_test name;
    auto memory = shared_memory::create(name, 100);
    CHECK_THROWS_AS(shared_memory::open(name, 101), coproc::type_error);
    CHECK(shared_memory::open(name, 100).size() == 100);
    CHECK(open_files() == 1);
}

TEST_CASE("nobody sees memory before its initializer is done, nor if that fails", "[SHM-013]")
{
    name_for_test name;
    auto initialize = [&](std::span<std::byte> bytes) {
        CHECK(bytes.size() == 10);
        CHECK_FALSE(exists(name));
        bytes[0] = std::byte{1};
    };
    auto memory = shared_memory::create(name, 10, initialize);
    CHECK(shared_memory::open(name).data()[0] == std::byte{1});
    memory = {};
    auto fail = [](std::span<std::byte>) { throw std::domain_error{"no"}; };
    CHECK_THROWS_AS(shared_memory::create(name, 10, fail), std::domain_error);
    CHECK_FALSE(exists(name));
    CHECK(open_files() == 0);
    CHECK_FALSE(watch_runs());
}

TEST_CASE("when named memory can't be made, nothing is left", "[RTR-016]")
{
    name_for_test name;
    for (auto call : {os::call::open, os::call::open_process, os::call::spawn, os::call::map}) {
        support::injection injected{support::injection::fails(call, EMFILE)};
        CHECK(error_of([&] { (void)shared_memory::create(name, 10); }) == EMFILE);
        CHECK_FALSE(exists(name));
    }
    CHECK_FALSE(watch_runs());
    CHECK(open_files() == 0);
    CHECK(shared_memory::create(name, 10).size() == 10);
}

TEST_CASE("removed by anybody, a name is free, and those who have the memory keep it")
{
    name_for_test name;
    auto memory = shared_memory::create(name, 10);
    CHECK(in_process([](std::string its_name) { return shared_memory::remove(its_name) ? 0 : 1; }, name.name) == 0);
    CHECK_FALSE(shared_memory::remove(name));
    memory.data()[0] = std::byte{1};
    auto other = shared_memory::create(name, 20); // another one
    memory = {};
    CHECK(exists(name)); // an owner removes its own only
    CHECK(shared_memory::open(name).size() == 20);
}

TEST_CASE("a handle in a message owns the name as well, and the last owner's end removes it", "[SHM-007][RTR-011]")
{
    name_for_test name;
    auto memory = shared_memory::create(name, 10);
    await([&]() -> coproc::task<> {
        auto body = [](shared_memory there) {
            if (!there.owns() || there.name().empty())
                ::_exit(1);
            there.data()[1] = std::byte{2};
            for (;;)
                ::pause();
        };
        auto start = coproc::process::start(body, memory);
        coproc::process p = co_await std::move(start);
        CHECK(support::eventually([&] { return memory.data()[1] == std::byte{2}; }));
        auto opened = shared_memory::open(name);
        CHECK_FALSE(opened.owns());
        memory = {};
        CHECK(exists(name));
        p.kill();
        co_await p.join();
        CHECK(goes(name));
        CHECK(opened.data()[1] == std::byte{2});
    });
    (void)shared_memory::create(name, 10); // with its end, what others owned is looked at again, and the watch ends
    CHECK_FALSE(watch_runs());
}

TEST_CASE("a worker's result may be named memory")
{
    name_for_test name;
    shared_memory memory;
    await([&]() -> coproc::task<> {
        coproc::pool pool{1};
        auto call = pool.apply([](std::string its_name) { return shared_memory::create(its_name, 10); }, name.name);
        memory = co_await std::move(call);
        co_await pool.close();
    });
    CHECK(memory.owns());
    CHECK(exists(name));
    memory = {};
    CHECK_FALSE(exists(name));
}

TEST_CASE("who opens a name doesn't own it: another program's end removes nothing", "[SHM-009]")
{
    name_for_test name;
    auto memory = shared_memory::create(name, 4096);
    memory.as<char>()[0] = 'x';
    support::program other{support::twin("named_memory"), {"open", name}};
    CHECK(other.read_line() == "x");
    auto end = other.wait();
    CHECK(end.exit_code == 0);
    CHECK(exists(name));
    support::program killed{support::twin("named_memory"), {"open", name}};
    CHECK(killed.read_line() == "x");
    killed.kill(SIGKILL);
    CHECK(killed.wait().signal == SIGKILL);
    CHECK(exists(name));
}

TEST_CASE("a released name stays, one that was taken over goes with its new owner", "[SHM-015]")
{
    name_for_test name;
    auto memory = shared_memory::create(name, 10);
    memory.release();
    CHECK_FALSE(memory.owns());
    memory = {};
    CHECK(exists(name));
    os::tidy_all();
    CHECK(exists(name));
    auto opened = shared_memory::open(name);
    CHECK_FALSE(opened.owns());
    opened = {};
    CHECK(exists(name));
    opened = shared_memory::open(name);
    opened.take_over();
    CHECK(opened.owns());
    CHECK(watch_runs());
    opened = {};
    CHECK_FALSE(exists(name));
    CHECK_FALSE(watch_runs());
}

TEST_CASE("a second owner keeps the name when the first is gone; what is removed can't be taken over", "[SHM-015]")
{
    name_for_test name;
    auto first = shared_memory::create(name, 10);
    auto second = shared_memory::open(name), late = second;
    second.take_over();
    first = {};
    CHECK(exists(name));
    second = {}, late = {};
    CHECK_FALSE(exists(name));
    first = shared_memory::create(name, 10);
    auto third = shared_memory::open(name);
    shared_memory::remove(name);
    CHECK(error_of([&] { third.take_over(); }) == ENOENT);
    CHECK_FALSE(third.owns());
}

TEST_CASE("the names of a program that is killed are removed soon", "[SHM-008][RTR-001]")
{
    name_for_test a, b;
    twin program{{"make", a, b}};
    CHECK(shared_memory::open(a).as<char>()[0] == 'h');
    program.program.kill_group(SIGKILL); // all that belongs to it, as far as a shell knows
    CHECK(program.program.wait().signal == SIGKILL);
    CHECK(goes(a));
    CHECK(goes(b));
    CHECK(support::eventually([&] { return support::has_ended(program.number); })); // its watch
}

TEST_CASE("the names of a program that ends in order are gone, and its watch is")
{
    name_for_test name;
    twin program{{"make", name}};
    CHECK(exists(name));
    CHECK(support::state_of(program.number) != '\0');
    CHECK(program.program.wait().exit_code == 0);
    CHECK_FALSE(exists(name));
    CHECK(support::eventually([&] { return support::has_ended(program.number); }));
}

TEST_CASE("when the first process of a tree is killed, the names that others of it own go as well", "[SHM-008]")
{
    name_for_test name;
    twin program{{"tree", name}};
    program.program.kill(SIGKILL);
    CHECK(program.program.wait().signal == SIGKILL);
    CHECK(support::eventually([&] { return support::has_ended(program.number); }));
    CHECK(goes(name));
}

TEST_CASE("the name of a worker that is killed goes while the program lives on", "[SHM-008]")
{
    name_for_test name;
    twin program{{"worker", name}};
    CHECK(support::eventually([&] { return exists(name); }));
    support::kill_now(program.number);
    CHECK(program.program.read_line() == "joined");
    CHECK(goes(name));
    CHECK(program.program.wait().exit_code == 0);
}

TEST_CASE("if the watch was killed too, a name without owners is removed when it is made or opened", "[RTR-017]")
{
    name_for_test a, b, c;
    twin program{{"make", a, b, c}};
    support::kill_now(program.number);
    CHECK(support::eventually([&] { return support::has_ended(program.number); }));
    program.program.kill(SIGKILL);
    CHECK(program.program.wait().signal == SIGKILL);
    CHECK(exists(a));
    CHECK(shared_memory::create(a, 10).size() == 10);
    CHECK(error_of([&] { (void)shared_memory::open(b); }) == ENOENT);
    CHECK_FALSE(exists(b));
    twin other{{"make", new_name()}}; // and all of them, when another program with names ends
    other.program.kill(SIGKILL);
    CHECK(other.program.wait().signal == SIGKILL);
    CHECK(goes(c));
    CHECK(support::eventually([&] { return support::has_ended(other.number); }));
}

TEST_CASE("a watch that was killed is started again with the next name", "[RTR-003]")
{
    name_for_test a, b;
    auto first = shared_memory::create(a, 10);
    auto pid = coproc::detail::name_watch_pid();
    support::kill_now(pid);
    CHECK(support::eventually([&] { return support::has_ended(pid); }));
    auto second = shared_memory::create(b, 10);
    CHECK(coproc::detail::name_watch_pid() != pid);
    CHECK_FALSE(support::has_ended(coproc::detail::name_watch_pid()));
    CHECK(support::state_of(pid) == '\0'); // reaped
}

TEST_CASE("the watch leaves the signals and descriptors of whoever starts it alone", "[RTR-008]")
{
    sigset_t before, after;
    ::sigprocmask(SIG_SETMASK, nullptr, &before);
    auto memory = shared_memory::create("", 10);
    ::sigprocmask(SIG_SETMASK, nullptr, &after);
    for (int signal = 1; signal < NSIG; ++signal)
        CHECK(sigismember(&before, signal) == sigismember(&after, signal));
    auto pid = coproc::detail::name_watch_pid();
    CHECK(support::eventually([&] { return support::name_of(pid) == "coproc watch"; }));
    CHECK(support::eventually([&] { return support::open_descriptors(pid).size() == 2; })); // the socket, a pidfd
    CHECK(::getsid(pid) == pid);
}

TEST_CASE("names of owners that live are never tidied; two that tidy exclude each other, and one that dies leaves it to others",
          "[RTR-018][RTR-019]")
{
    name_for_test name;
    auto memory = shared_memory::create(name, 10);
    os::tidy_all();
    CHECK(os::tidy(name) == os::tidied::has_owners);
    CHECK(exists(name));

    twin program{{"make", new_name()}};
    auto stale = std::filesystem::path{"/dev/shm"};
    name_for_test left;
    {
        twin other{{"make", left}};
        support::kill_now(other.number);
        CHECK(support::eventually([&] { return support::has_ended(other.number); }));
        other.program.kill(SIGKILL);
        (void)other.program.wait();
    }
    int locked[2];
    REQUIRE(::pipe(locked) == 0);
    pid_t cleaner = ::fork();
    if (cleaner == 0) { // takes what tidying takes, and never comes to an end
        int file = ::open(path_of(left).c_str(), O_RDONLY);
        if (::flock(file, LOCK_EX | LOCK_NB) == 0)
            (void)!::write(locked[1], "x", 1);
        for (;;)
            ::pause();
    }
    char byte = 0;
    REQUIRE(::read(locked[0], &byte, 1) == 1);
    ::close(locked[0]), ::close(locked[1]);
    CHECK(os::tidy(left) == os::tidied::has_owners);
    CHECK(exists(left));
    ::kill(cleaner, SIGKILL);
    REQUIRE(::waitpid(cleaner, nullptr, 0) == cleaner);
    CHECK(os::tidy(left) == os::tidied::removed);
    CHECK(os::tidy(left) == os::tidied::nothing_there);
    CHECK(program.program.wait().exit_code == 0);
}

TEST_CASE("files of others are nobody's to tidy, and no memory")
{
    name_for_test name;
    int file = ::open(path_of(name).c_str(), O_CREAT | O_EXCL | O_RDWR, 0600);
    REQUIRE(file >= 0);
    CHECK(os::tidy(name) == os::tidied::was_never_owned);
    CHECK_THROWS_AS(shared_memory::open(name), coproc::type_error); // it is empty
    REQUIRE(::ftruncate(file, 100) == 0);
    CHECK(shared_memory::open(name).size() == 100);
    ::close(file);
    ::unlink(path_of(name).c_str());
    REQUIRE(::symlink("/etc/passwd", path_of(name).c_str()) == 0);
    CHECK(error_of([&] { (void)shared_memory::open(name); }) == ELOOP);
    CHECK(error_of([&] { (void)shared_memory::create(name, 10); }) == EEXIST);
}

TEST_CASE("a message that says more of named memory than is true is refused")
{
    name_for_test name;
    auto memory = shared_memory::create(name, 10);
    auto changed = [&](auto change) {
        coproc::detail::buffer message;
        coproc::output_archive out{message};
        out(memory);
        change(message);
        coproc::input_archive in{message.data(), message.size(), &message.attachments()};
        shared_memory loaded;
        in(loaded);
        return loaded.size();
    };
    CHECK(changed([](auto&) {}) == 10);
    CHECK_THROWS_AS(changed([](auto& m) { m.data()[m.size() - 8] = std::byte{11}; }), coproc::protocol_error);
    CHECK_THROWS_AS(changed([](auto& m) { m.data()[0] = std::byte{9}; }), coproc::protocol_error);
    CHECK_THROWS_AS(changed([](auto& m) { m.attachments().clear(); }), coproc::protocol_error);
}

TEST_CASE("a forked copy uses named memory, sends it nowhere and removes nothing")
{
    name_for_test name;
    auto memory = shared_memory::create(name, 10);
    pid_t child = ::fork();
    if (child == 0) {
        memory.data()[0] = std::byte{1};
        int code = 1;
        try {
            (void)passed_on<shared_memory>(memory);
        } catch (const coproc::usage_error&) {
            code = 0;
        }
        memory = {};
        ::_exit(code);
    }
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    CHECK(exists(name));
    CHECK(memory.data()[0] == std::byte{1});
}
