#include "census.hpp"

namespace {

void add(failures& all, const failures& more)
{
    if (all.count == 0 || more.example < all.example)
        all.example = more.example;
    all.count += more.count;
}

} // namespace

census& census::operator+=(const census& other)
{
    files += other.files;
    bytes += other.bytes;
    lines += other.lines;
    identifiers.add(other.identifiers);
    includes.add(other.includes);
    for (auto& [reason, more] : other.unread)
        add(unread[reason], more);
    return *this;
}

void census::add_failure(const std::string& reason, const std::string& path) { add(unread[reason], {1, path}); }
