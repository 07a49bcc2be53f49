// A program of some use: what is in the thousands of C and C++ headers of this machine? Worker processes read them and
// take them apart; this one walks the tree, hands out files, adds up what comes back, shows how far it is, and can be
// stopped by Ctrl-C at any time. Read next: parallel_count.hpp and .cpp, then count.hpp and tokens.hpp.
#include "count.hpp"
#include "options.hpp"
#include "parallel_count.hpp"
#include "report.hpp"
#include "tokens.hpp"

#include <chrono>
#include <filesystem>
#include <iostream>
#include <stdexcept>

namespace {

class stopwatch {
public:
    [[nodiscard]] double seconds() const
    {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
    }

private:
    std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

coproc::task<report> examine(options wanted)
{
    progress shown;
    report result;
    result.folder = wanted.folder;

    stopwatch first;
    coproc::pool pool{{.workers = wanted.workers}};
    result.workers = pool.size();
    result.total = co_await count_folder_in(pool, wanted.folder, shown);
    if (wanted.times)
        result.seconds = first.seconds();

    if (wanted.comparison) {
        report::comparison compared{};
        shown.say("once more, in one process, to compare ...");
        coproc::pool one{1}; // in a worker too, so that Ctrl-C still works
        stopwatch alone;
        auto again = co_await one.apply(count_folder, wanted.folder);
        compared.one_process = alone.seconds();
        stopwatch together;
        auto last = co_await count_folder_in(pool, wanted.folder, shown);
        compared.pool = together.seconds();
        if (again != result.total || last != result.total)
            std::cerr << "header_census: the folder was changed meanwhile; times can't be compared\n";
        else
            result.compared = compared;
    }
    remove_keywords(result.total.identifiers);
    co_return result;
}

coproc::task<int> async_main(std::vector<std::string> arguments)
{
    try {
        auto wanted = parse(arguments);
        if (wanted.help)
            std::cout << usage;
        else {
            auto result = co_await examine(wanted);
            wanted.json ? write_json(std::cout, result) : write_text(std::cout, result);
        }
    } catch (const std::invalid_argument& e) {
        std::cerr << "header_census: " << e.what() << '\n' << usage;
        co_return 2;
    } catch (const std::filesystem::filesystem_error& e) {
        std::cerr << "header_census: " << e.path1().native() << ": " << e.code().message() << '\n';
        co_return 1;
    }
    if (!std::cout.flush()) {
        std::cerr << "header_census: the result could not be written\n";
        co_return 1;
    }
    co_return 0;
}

} // namespace

int main(int argc, char** argv) { return coproc::run(argc, argv, async_main); }

// Arguments: example --no-times
// Expected output:
// Headers below example: 3 files, 583 bytes, 27 lines
//
// Most frequent identifiers (of 14 different ones)
//            3  radius
//            2  area
//            2  once
//            2  point
//            2  shape
//            1  center
//            1  circle
//            1  help
//            1  name
//            1  override
//            1  std
//            1  string
//            1  x
//            1  y
//
// Most included headers (of 3 different ones)
//            2  point.hpp
//            1  shape.hpp
//            1  string
