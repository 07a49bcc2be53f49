// The result, for people and for programs.
#pragma once

#include "census.hpp"

#include <optional>
#include <ostream>
#include <string>

struct report {
    std::string folder;
    census total; ///< without keywords
    int workers = 0;
    std::optional<double> seconds; ///< that the pool took, its start included; what is in no cache came from the disk

    /// The same once more in one process, and once more by the pool: this time all comes from memory for both.
    struct comparison {
        double one_process, pool; ///< seconds
        [[nodiscard]] double speed_up() const { return one_process / pool; }
    };
    std::optional<comparison> compared;
};

void write_text(std::ostream& out, const report& what);
void write_json(std::ostream& out, const report& what);
