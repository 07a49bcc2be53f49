// One measured figure, as one JSON line on standard output.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <string>
#include <vector>

namespace bench {

using clock = std::chrono::steady_clock;

inline double seconds_since(clock::time_point begin) { return std::chrono::duration<double>(clock::now() - begin).count(); }

inline void figure(const std::string& workload, double value, const char* unit, const char* note = nullptr)
{
    std::printf(R"({"peer":"coproc","workload":"%s","value":%.6g,"unit":"%s")", workload.c_str(), value, unit);
    if (note)
        std::printf(R"(,"note":"%s")", note);
    std::printf("}\n");
    std::fflush(stdout);
}

/// The value below which `share` of the values lie. Sorts them.
inline double percentile(std::vector<double>& values, double share)
{
    std::sort(values.begin(), values.end());
    return values[static_cast<std::size_t>(static_cast<double>(values.size() - 1) * share)];
}

/// The smallest of what `repeat` calls of `measure` return: other programs only ever make a run slower.
template <class F>
double best_of(int repeat, F measure)
{
    double best = measure();
    for (int i = 1; i < repeat; ++i)
        best = std::min(best, measure());
    return best;
}

} // namespace bench
