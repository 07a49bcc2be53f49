// One line on a terminal that says how far it is; nothing anywhere else.
#pragma once

#include "census.hpp"

#include <chrono>

class progress {
public:
    /// Looks whether standard error is a terminal.
    progress();
    ~progress() { clear(); }
    progress(const progress&) = delete;
    progress& operator=(const progress&) = delete;

    /// Shows what has been counted so far, at most ten times a second.
    void update(const census& so_far);
    void say(const char* what);
    void clear();

private:
    using clock = std::chrono::steady_clock;
    bool terminal_, dirty_ = false;
    clock::time_point begin_ = clock::now(), last_{};
};
