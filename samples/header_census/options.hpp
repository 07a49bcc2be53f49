// What the command line says.
#pragma once

#include <string>
#include <vector>

struct options {
    std::string folder = "/usr/include";
    int workers = 0; ///< 0: one for each core
    bool comparison = true;
    bool json = false;
    bool times = true;
    bool help = false;
};

inline constexpr const char* usage = R"(usage: header_census [FOLDER] [OPTION...]
Counts the C and C++ headers below FOLDER (/usr/include) with a pool of processes.
  --workers N       as many processes; without it, one for each core
  --no-comparison   don't measure how much faster that is than one process
  --no-times        leave out all that differs from run to run
  --json            for programs
)";

/// Throws std::invalid_argument, which says what it doesn't understand.
[[nodiscard]] options parse(const std::vector<std::string>& arguments);
