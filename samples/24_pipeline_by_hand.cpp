// A pipeline of processes: each stage takes from one queue and puts into the next, and passes the end on. The middle stage
// has two processes; the last of them closes the way out.
#include <coproc/coproc.hpp>

#include <iostream>
#include <string>
#include <vector>

coproc::task<> read_lines(coproc::queue<std::string> lines)
{
    for (std::string line : {"to be or not", "to be that is", "the question"})
        co_await lines.put(line);
    lines.close();
}

coproc::task<> count_letters(coproc::queue<std::string> lines, coproc::queue<int> counts, coproc::shared_value<int> still_here)
{
    while (auto line = co_await lines.get())
        co_await counts.put(static_cast<int>(line->size()));
    if (still_here.fetch_sub(1) == 1)
        counts.close();
}

coproc::task<> async_main()
{
    coproc::queue<std::string> lines{2};
    coproc::queue<int> counts{2};
    coproc::shared_value<int> still_here{2};

    auto reader = co_await coproc::process::start(read_lines, lines);
    auto first = co_await coproc::process::start(count_letters, lines, counts, still_here);
    auto second = co_await coproc::process::start(count_letters, lines, counts, still_here);
    int sum = 0;
    while (auto count = co_await counts.get())
        sum += *count;
    std::cout << "letters and spaces: " << sum << '\n';
    co_await reader.join();
    co_await first.join();
    co_await second.join();
}

int main(int argc, char** argv) { return coproc::run(argc, argv, async_main); }

// Expected output:
// letters and spaces: 37
