// Two processes talk over a pipe: each end is a value that is given away to the process that uses it.
#include <coproc/coproc.hpp>

#include <iostream>
#include <string>

// Runs in a process of its own. The loop ends when the other end is closed.
coproc::task<> answer(coproc::connection questions)
{
    while (auto question = co_await questions.recv<std::string>())
        co_await questions.send(static_cast<int>(question->size()));
}

// Connections are values: this one sends the other process one end of a new pipe, and keeps the other.
coproc::task<> introduce(coproc::connection to)
{
    auto [here, there] = coproc::pipe();
    co_await to.send(std::move(there));
    co_await here.send("nice to meet you");
}

coproc::task<> async_main()
{
    auto [mine, theirs] = coproc::pipe();
    auto answerer = co_await coproc::process::start(answer, std::move(theirs));
    for (std::string question : {"one", "fifteen", ""}) {
        co_await mine.send(question);
        auto length = co_await mine.recv<int>();
        std::cout << '"' << question << "\" has " << length.value() << " characters\n";
    }

    // Types are checked; the message stays until it is received as what it is.
    co_await mine.send("text");
    try {
        static_cast<void>(co_await mine.recv<std::string>());
    } catch (const coproc::type_error&) {
        std::cout << "no text\n";
    }
    auto number = co_await mine.recv<int>();
    std::cout << "it was the number " << number.value() << '\n';
    mine.close();
    co_await answerer.join();

    auto [left, right] = coproc::pipe();
    auto other = co_await coproc::process::start(introduce, std::move(right));
    auto direct = co_await left.recv<coproc::connection>();
    auto greeting = co_await direct->recv<std::string>();
    std::cout << greeting.value() << '\n';
    auto end = co_await direct->recv<std::string>();
    std::cout << "the end: " << !end.has_value() << '\n';
    co_await other.join();
}

int main(int argc, char** argv) { return coproc::run(argc, argv, async_main); }

// Expected output:
// "one" has 3 characters
// "fifteen" has 7 characters
// "" has 0 characters
// no text
// it was the number 4
// nice to meet you
// the end: 1
