// A server that other programs connect to, and clients that prove that they know its key.
#include <coproc/coproc.hpp>

#include <iostream>
#include <string>

using namespace std::chrono_literals;

// Would be another program, on another machine; it needs the address and the key.
coproc::task<> client(std::string address, std::string key, int number)
{
    try {
        auto server = co_await coproc::connect(address, key);
        co_await server.send(number);
        static_cast<void>(co_await server.recv<int>());
    } catch (const coproc::authentication_error&) { // the server says more
    }
}

coproc::task<> async_main()
{
    coproc::listener listener{"localhost:0", "a shared secret"}; // 0: any port that is free
    const std::string address = listener.endpoint();

    auto good = co_await coproc::process::start(client, address, "a shared secret", 21);
    auto accepted = co_await listener.accept();
    auto number = co_await accepted.recv<int>();
    std::cout << "a client sent " << number.value() << '\n';
    co_await accepted.send(2 * *number);
    co_await good.join();

    auto bad = co_await coproc::process::start(client, address, "a guess", 0);
    try {
        static_cast<void>(co_await listener.accept());
    } catch (const coproc::authentication_error& e) {
        std::cout << "refused: " << e.what() << '\n';
    }
    co_await bad.join();

    // Whatever comes first: a message, the end of a process, or the end of patience.
    auto [mine, theirs] = coproc::pipe();
    auto ready = co_await coproc::wait_any(mine, bad, 1h);
    std::cout << "ready: " << ready.front() << '\n';
}

int main(int argc, char** argv) { return coproc::run(argc, argv, async_main); }

// Expected output:
// a client sent 21
// refused: the other side has another key
// ready: 1
