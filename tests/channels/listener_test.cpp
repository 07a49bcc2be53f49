// Listeners, keys, and clients that have none.
#include "pool/tasks.hpp"
#include "support/injection.hpp"
#include "support/proc.hpp"
#include "support/temporary_folder.hpp"

#include "channels/handshake.hpp"
#include "os/calls.hpp"
#include "os/stream_socket.hpp"

#include <coproc/listener.hpp>
#include <coproc/pipe.hpp>
#include <coproc/process.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <cstring>
#include <fstream>
#include <set>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

using namespace coproc;
using namespace pool_test;
using namespace std::chrono_literals;

namespace {

using text = std::string;
constexpr std::string_view key = "a shared secret";

// A name that no other program, and no other test at the same time, has.
text own_name(const char* what) { return "@coproc-test-" + std::to_string(::getpid()) + "-" + what; }

template <class A, class B>
auto both(task<A> first, task<B> second)
{
    using namespace asio::experimental::awaitable_operators;
    return std::move(first) && std::move(second);
}

// A client that speaks what it likes.
class stranger {
public:
    explicit stranger(const text& abstract_name)
    {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path + 1, abstract_name.data() + 1, abstract_name.size() - 1);
        socket_ = coproc::os::descriptor{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + abstract_name.size());
        REQUIRE(::connect(socket_.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
    }
    void say(const void* what, std::size_t size) { REQUIRE(::send(socket_.get(), what, size, MSG_NOSIGNAL) == static_cast<ssize_t>(size)); }
    void hang_up() { ::shutdown(socket_.get(), SHUT_WR); }
    bool is_refused()
    {
        char byte[256];
        for (;;) {
            auto size = ::recv(socket_.get(), byte, sizeof byte, 0);
            if (size <= 0)
                return true;
            heard_ += static_cast<std::size_t>(size);
        }
    }
    [[nodiscard]] std::size_t heard() const { return heard_; }

private:
    coproc::os::descriptor socket_;
    std::size_t heard_ = 0;
};


task<> echo_over(text address, text secret)
{
    auto c = co_await connect(address, secret);
    co_await c.send(text{"hello"});
    static_cast<void>(co_await c.recv<int>());
}

} // namespace

TEST_CASE("a client connects to a path, an abstract name or a TCP port, and both sides talk", "[CON-010][CON-012]")
{
    support::temporary_folder folder;
    const auto address = GENERATE_REF(text{folder / "socket"}, own_name("talk"), text{"127.0.0.1:0"}, text{"[::1]:0"}, text{"localhost:0"}, text{"*:0"});
    in_loop([&]() -> task<> {
        listener l;
        try {
            l = listener{address, key};
        } catch (const std::system_error&) { // no IPv6 here
            REQUIRE(address == "[::1]:0");
            co_return;
        }
        auto to = address == "*:0" ? "localhost" + l.endpoint().substr(l.endpoint().rfind(':')) : l.endpoint();
        if (address == "*:0" && to.find("[::]") != text::npos)
            co_return;
        auto pair = both(l.accept(), connect(to, key));
        auto [server, client] = co_await std::move(pair);
        co_await server.send(1);
        CHECK(co_await client.poll(1h));
        CHECK(co_await client.recv<int>() == 1);
        co_await client.send(text{"back"});
        CHECK(co_await server.recv<text>() == "back");
        client.close();
        CHECK_FALSE(co_await server.recv<int>());
    });
}

TEST_CASE("what a client sent before it closed is there when it is accepted later", "[CON-011]")
{
    const auto name = own_name("early");
    in_loop([&]() -> task<> {
        listener l{name};
        auto client = co_await connect(name);
        co_await client.send(5);
        client.close();
        auto server = co_await l.accept();
        CHECK(co_await server.recv<int>() == 5);
        CHECK_FALSE(co_await server.recv<int>());
    });
}

TEST_CASE("processes that did not start each other meet at a name")
{
    const auto name = own_name("meet");
    in_loop([&]() -> task<> {
        listener l{name, key};
        auto p = co_await process::start(echo_over, name, text{key});
        auto c = co_await l.accept();
        CHECK(co_await c.recv<text>() == "hello");
        co_await c.send(1);
        co_await p.join();
    });
}

TEST_CASE("a second listener at the same address fails, and the first goes on", "[CON-008]")
{
    support::temporary_folder folder;
    const auto address = GENERATE_REF(text{folder / "socket"}, own_name("twice"), text{"127.0.0.1:0"});
    in_loop([&]() -> task<> {
        listener l{address, key};
        try {
            listener second{l.endpoint(), key};
            FAIL("it listens");
        } catch (const std::system_error& e) {
            CHECK(e.code() == std::errc::address_in_use);
        }
        // A path was tried out by connecting to it: that client is refused like any that knows no key.
        if (address.front() == '/')
            CHECK(is<authentication_error>(co_await failure_of(l.accept())));
        auto pair = both(l.accept(), connect(l.endpoint(), key));
        auto [server, client] = co_await std::move(pair);
        CHECK(server.valid());
    });
}

TEST_CASE("a path has mode 0600, goes with the listener, and is replaced when its listener is dead", "[CON-008]")
{
    support::temporary_folder folder;
    const text path = folder / "socket";
    {
        listener l{path};
        struct stat file{};
        REQUIRE(::stat(path.c_str(), &file) == 0);
        CHECK((file.st_mode & 0777) == 0600);
    }
    CHECK(::access(path.c_str(), F_OK) != 0);

    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, path.c_str());
    {
        coproc::os::descriptor dead{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        REQUIRE(::bind(dead.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    }
    {
        listener l{path};
        CHECK(l.valid());
    }
    std::ofstream{path} << "no socket";
    CHECK_THROWS_AS(listener{path}, std::system_error);
    CHECK(::access(path.c_str(), F_OK) == 0);
}

TEST_CASE("a closed listener does not accept, and one that is closed meanwhile stops", "[CON-009]")
{
    in_loop([]() -> task<> {
        listener l{own_name("closed")};
        auto close = [](listener& one) -> task<> {
            one.close();
            co_return;
        };
        auto pair = both(failure_of(l.accept()), close(l));
        auto failure = co_await std::move(pair);
        CHECK(is<std::system_error>(failure, "listener was closed"));
        CHECK_THROWS_AS(l.accept(), usage_error);
        CHECK_THROWS_AS(l.endpoint(), usage_error);
        CHECK(is<std::system_error>(co_await failure_of(connect(own_name("closed")))));
    });
}

TEST_CASE("a hundred listeners on one wildcard address have a hundred ports", "[CON-017]")
{
    std::vector<listener> all;
    std::set<text> addresses;
    for (int i = 0; i < 100; ++i)
        addresses.insert(all.emplace_back("*:0", key).endpoint());
    CHECK(addresses.size() == 100);
}

TEST_CASE("nobody there is an error, and a name that is no address too", "[CON-018][BAD-002]")
{
    in_loop([]() -> task<> {
        text endpoint;
        {
            listener l{"127.0.0.1:0", key};
            endpoint = l.endpoint();
        }
        const auto threads = support::threads_of(::getpid()).size();
        CHECK(is<std::system_error>(co_await failure_of(connect(endpoint, key)), "connecting to 127.0.0.1"));
        CHECK(support::threads_of(::getpid()).size() == threads);
        for (const text bad : {"nothing", "host:70000", "host:", "@", ""}) {
            CHECK_THROWS_AS(connect(bad, key), usage_error);
            CHECK_THROWS_AS(listener(bad, key), usage_error);
        }
        CHECK_THROWS_AS(listener("127.0.0.1:0"), usage_error);
        CHECK_THROWS_AS(connect("127.0.0.1:1"), usage_error);
    });
}

TEST_CASE("another key is an error on both sides, and the listener serves on", "[SEC-004]")
{
    const auto name = own_name("keys");
    in_loop([&]() -> task<> {
        for (const text right : {"right", ""}) {
            listener l{name, right};
            auto wrong = both(failure_of(l.accept()), failure_of(connect(name, "wrong")));
            auto [there, here] = co_await std::move(wrong);
            CHECK(is<authentication_error>(there, "another key"));
            CHECK(is<authentication_error>(here, "may be a wrong one"));
            auto pair = both(l.accept(), connect(name, right));
            auto [server, client] = co_await std::move(pair);
            co_await client.send(1);
            CHECK(co_await server.recv<int>() == 1);
        }
    });
}

TEST_CASE("a client without a key learns that one is needed")
{
    const auto name = own_name("no-key");
    in_loop([&]() -> task<> {
        listener l{name, key};
        auto client = co_await connect(name);
        co_await client.send(text{"not to be read"});
        auto pair = both(failure_of(l.accept()), failure_of(client.recv<int>()));
        auto [there, here] = co_await std::move(pair);
        CHECK((is<authentication_error>(there)));
        CHECK(is<authentication_error>(here, "asks for a key"));
    });
}

TEST_CASE("a bogus verdict of a listener is an authentication error", "[SEC-002]")
{
    const auto name = own_name("bogus");
    in_loop([&]() -> task<> {
        listener l{name}; // asks for nothing itself, so that the test can speak for it
        auto impostor = [](listener& at) -> task<> {
            auto c = co_await at.accept();
            std::array<char, 40> hello{'c', 'o', 'p', 'r', 'o', 'c', 'k', '1'};
            REQUIRE(::send(c.native_handle(), hello.data(), hello.size(), 0) == 40);
            std::array<char, 72> reply{};
            for (std::size_t got = 0; got < reply.size();) {
                auto now = ::recv(c.native_handle(), reply.data(), reply.size(), MSG_DONTWAIT);
                got += now > 0 ? static_cast<std::size_t>(now) : 0;
                asio::steady_timer turn{co_await asio::this_coro::executor, 1ms};
                co_await turn.async_wait(asio::use_awaitable);
            }
            // The best that it can do without the key: the client's own proof, sent back.
            REQUIRE(::send(c.native_handle(), reply.data() + 40, 32, 0) == 32);
        };
        auto pair = both(failure_of(connect(name, key)), impostor(l));
        auto failure = co_await std::move(pair);
        CHECK(is<authentication_error>(failure, "another key"));
    });
}

TEST_CASE("proofs depend on key, role and both sides' random bytes", "[SEC-003]")
{
    using namespace coproc::detail;
    random_bytes zeros{}, ones{};
    ones.fill(std::byte{1});
    const auto it = proof(role::client, "key", zeros, ones);
    CHECK(same(it, proof(role::client, "key", zeros, ones)));
    CHECK_FALSE(same(it, proof(role::listener, "key", zeros, ones)));
    CHECK_FALSE(same(it, proof(role::client, "key", ones, zeros)));
    CHECK_FALSE(same(it, proof(role::client, "key2", zeros, ones)));
    CHECK_FALSE(same(it, proof(role::client, "", zeros, ones)));
    // HMAC-SHA256 as the standard tool computes it: printf 'client' + 64 zero bytes | openssl dgst -sha256 -mac HMAC -macopt key:key
    const auto known = proof(role::client, "key", zeros, zeros);
    text hex;
    for (auto b : known) {
        char two[3];
        std::snprintf(two, sizeof two, "%02x", std::to_integer<unsigned>(b));
        hex += two;
    }
    CHECK(hex == "5e2cca6bae1d74beada37b08b06d052dd4e77572081120f247f7cce94caed869");
}

TEST_CASE("random bytes, silence and a hang-up cost their client only", "[SEC-007][SEC-009]")
{
    const auto name = own_name("strangers");
    in_loop([&]() -> task<> {
        listener l{name, listener_options{.key = key, .handshake_timeout = 50ms}};
        stranger noisy{name}, silent{name}, gone{name};
        const text noise(5000, '\x7f');
        noisy.say(noise.data(), noise.size());
        gone.hang_up();
        for (int i = 0; i < 3; ++i)
            CHECK(is<authentication_error>(co_await failure_of(l.accept())));
        for (auto* s : {&noisy, &silent, &gone}) {
            CHECK(s->is_refused());
            CHECK(s->heard() <= 40); // its half of the greeting, and nothing for which the key is needed
        }
        auto pair = both(l.accept(), connect(name, key));
        auto [server, client] = co_await std::move(pair);
        CHECK(server.valid());
    });
}

TEST_CASE("a client that is silent holds up nobody else", "[SEC-009]")
{
    const auto name = own_name("silent");
    in_loop([&]() -> task<> {
        listener l{name, listener_options{.key = key, .handshake_timeout = 300ms}};
        std::vector<stranger> silent;
        for (int i = 0; i < 5; ++i)
            silent.emplace_back(name);
        auto pair = both(l.accept(), connect(name, key));
        auto [server, client] = co_await std::move(pair);
        CHECK(server.valid());
        for (int i = 0; i < 5; ++i)
            CHECK(is<authentication_error>(co_await failure_of(l.accept()), "in time"));
    });
}

TEST_CASE("a cancelled accept loses no client, not even one in its handshake", "[CON-019]")
{
    const auto name = own_name("cancelled");
    in_loop([&]() -> task<> {
        auto executor = co_await asio::this_coro::executor;
        listener l{name, key};
        asio::cancellation_signal stop;
        bool ended = false;
        asio::co_spawn(executor, l.accept(), asio::bind_cancellation_slot(stop.slot(), [&](std::exception_ptr e, connection) { ended = e != nullptr; }));
        stranger slow{name}; // in its handshake when accept is cancelled
        asio::steady_timer soon{executor, 5ms};
        co_await soon.async_wait(asio::use_awaitable);
        stop.emit(asio::cancellation_type::terminal);
        co_await soon.async_wait(asio::use_awaitable);
        CHECK(ended);
        slow.hang_up();
        CHECK(is<authentication_error>(co_await failure_of(l.accept())));
        auto pair = both(l.accept(), connect(name, key));
        auto [server, client] = co_await std::move(pair);
        CHECK(server.valid());
    });
}

TEST_CASE("an accept that finds no descriptors tries again later instead of spinning", "[LIM-016]")
{
    const auto name = own_name("no-room");
    in_loop([&]() -> task<> {
        listener l{name};
        auto client = co_await connect(name);
        int tries = 0;
        support::injection full{[&](coproc::os::call call) {
            return call == coproc::os::call::accept && ++tries <= 2 ? coproc::os::verdict{EMFILE, SIZE_MAX} : coproc::os::verdict{};
        }};
        auto server = co_await l.accept();
        CHECK(tries == 3);
        CHECK(server.valid());
    });
}

TEST_CASE("descriptors don't travel by TCP, and the error says so")
{
    in_loop([]() -> task<> {
        listener l{"127.0.0.1:0", key};
        auto pair = both(l.accept(), connect(l.endpoint(), key));
        auto [server, client] = co_await std::move(pair);
        auto [a, b] = coproc::one_way_pipe();
        CHECK(is<usage_error>([&, &out = client, &end = a] {
            try {
                static_cast<void>(out.send(end));
            } catch (...) {
                return std::current_exception();
            }
            return std::exception_ptr{};
        }(), "TCP"));
        co_await client.send(1);
        CHECK(co_await server.recv<int>() == 1);
    });
}

TEST_CASE("a message of 20 MiB goes over TCP")
{
    in_loop([]() -> task<> {
        listener l{"127.0.0.1:0", key};
        auto pair = both(l.accept(), connect(l.endpoint(), key));
        auto [server, client] = co_await std::move(pair);
        const text big(20 << 20, 't');
        auto transfer = both(server.recv<text>(), client.send(big));
        auto got = co_await std::move(transfer);
        CHECK((got == big));
    });
}
