#include "progress.hpp"

#include <cstdio>
#include <unistd.h>

namespace {
constexpr auto pause_between = std::chrono::milliseconds{100}; // faster than that nobody reads
constexpr const char* clear_line = "\r\033[K";
}

progress::progress() : terminal_{::isatty(STDERR_FILENO) == 1} {}

void progress::update(const census& so_far)
{
    auto now = clock::now();
    if (!terminal_ || now - last_ < pause_between)
        return;
    last_ = now;
    double seconds = std::chrono::duration<double>(now - begin_).count();
    double megabytes = static_cast<double>(so_far.bytes) / 1e6;
    std::fprintf(stderr, "%s%llu files, %.0f MB, %.0f MB/s", clear_line, static_cast<unsigned long long>(so_far.files),
                 megabytes, megabytes / seconds);
    dirty_ = true;
}

void progress::say(const char* what)
{
    if (!terminal_)
        return;
    std::fprintf(stderr, "%s%s", clear_line, what);
    dirty_ = true;
}

void progress::clear()
{
    if (dirty_)
        std::fputs(clear_line, stderr);
    dirty_ = false;
}
