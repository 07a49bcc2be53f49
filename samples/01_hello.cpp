// A function runs in a process of its own; the coroutine that started it goes on when it has ended.
#include <coproc/coproc.hpp>

#include <iostream>
#include <string>

// Any function will do. Its arguments are copied to the new process: nothing is shared.
void greet(const std::string& whom, int times)
{
    for (int i = 0; i < times; ++i)
        std::cout << "Hello, " << whom << "!\n";
}

coproc::task<> async_main()
{
    auto greeter = co_await coproc::process::start(greet, "world", 2);
    auto status = co_await greeter.join(); // waits without blocking the event loop
    std::cout << "It ended with exit code " << status.code() << ".\n";
}

int main(int argc, char** argv) { return coproc::run(argc, argv, async_main); }

// Expected output:
// Hello, world!
// Hello, world!
// It ended with exit code 0.
