// The work itself, as plain functions: they run in any process.
#pragma once

#include "census.hpp"

#include <string>
#include <vector>

/// Reads these files, which the walk found, and counts what is in them. One with a zero byte among its first 8000 is
/// binary: no header then, or one that can't be read if its extension says that it should be one.
[[nodiscard]] census count_files(std::vector<std::string> paths);

/// Everything below a folder, in the process that calls it: what the pool's work is compared with.
[[nodiscard]] census count_folder(std::string folder);
