// Results one by one, each when it is asked for: generators, imap, and stages that chain.
#include <coproc/coproc.hpp>

#include <asio.hpp>
#include <iostream>
#include <ranges>
#include <sstream>
#include <string>
#include <utility>

using namespace std::chrono_literals;

// A generator: it goes on whenever somebody asks for the next item, and may wait for something in between.
coproc::stream<std::string> lines()
{
    asio::steady_timer pause{co_await asio::this_coro::executor};
    for (int i = 1; i <= 3; ++i) {
        pause.expires_after(1ms); // stands for a socket, a file, a queue
        co_await pause.async_wait(asio::use_awaitable);
        co_yield std::to_string(i) + " " + std::to_string(i * i);
    }
}

std::pair<int, int> parse(const std::string& line)
{
    std::pair<int, int> both;
    std::istringstream{line} >> both.first >> both.second;
    return both;
}
int total(std::pair<int, int> both) { return both.first + both.second; }
long cube(long n) { return n * n * n; }

coproc::task<> async_main()
{
    coproc::pool pool{2};

    auto totals = pool.imap(total, pool.imap(parse, lines())); // three stages at once; the order stays
    while (auto sum = co_await totals.next())
        std::cout << "total " << *sum << '\n';

    auto cubes = pool.imap(cube, std::views::iota(1L)); // endless: it is read only so far ahead of what is taken
    for (auto c = co_await cubes.next(); c && *c < 100; c = co_await cubes.next())
        std::cout << "cube " << *c << '\n';
} // what the streams still had to do is withdrawn with them

int main(int argc, char** argv) { return coproc::run(argc, argv, async_main); }

// Expected output:
// total 2
// total 6
// total 12
// cube 1
// cube 8
// cube 27
// cube 64
