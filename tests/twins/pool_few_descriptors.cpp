// Pools under a limit of 64 descriptors: each works or says why not, and afterwards a small one works.
#include <coproc/error.hpp>
#include <coproc/pool.hpp>
#include <coproc/run.hpp>

#include <cstdio>
#include <numeric>
#include <sys/resource.h>
#include <system_error>
#include <vector>

namespace {

int twice(int n) { return 2 * n; }
std::size_t size_of(const std::vector<char>& v) { return v.size(); }

coproc::task<int> async_main()
{
    rlimit limit{64, 64};
    ::setrlimit(RLIMIT_NOFILE, &limit);
    int worked = 0, refused = 0;
    for (int workers = 1; workers <= 24; ++workers) {
        coproc::pool_options options;
        options.workers = workers;
        try {
            coproc::pool pool{options};
            std::vector<int> inputs(100, workers);
            auto results = co_await pool.map(twice, inputs);
            auto sum = std::accumulate(results.begin(), results.end(), 0);
            worked += sum == 200 * workers;
            auto size = co_await pool.apply(size_of, std::vector<char>(1'000'000));
            worked += size == 1'000'000;
        } catch (const std::system_error& e) {
            ++refused;
        } catch (const coproc::error& e) {
            ++refused;
        }
    }
    coproc::pool pool{1};
    auto last = co_await pool.apply(twice, 21);
    std::printf("%s %s %d\n", worked > 0 ? "some worked," : "none worked,", refused > 0 ? "some were refused," : "none was refused,", last);
    co_return 0;
}

} // namespace

int main(int argc, char** argv) { return coproc::run(argc, argv, async_main); }
