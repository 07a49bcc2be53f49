// Containers in a shared segment, and what makes and destroys them.
#pragma once

#include <coproc/shared_segment.hpp>

#include <boost/interprocess/containers/map.hpp>
#include <boost/interprocess/containers/string.hpp>
#include <boost/interprocess/containers/vector.hpp>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <string>
#include <utility>

namespace shared_test {

using coproc::shared_segment;
namespace bip = boost::interprocess;

template <class T>
using vector = bip::vector<T, shared_segment::allocator_for<T>>;
using text = bip::basic_string<char, std::char_traits<char>, shared_segment::allocator_for<char>>;
using table = bip::map<int, text, std::less<>, shared_segment::allocator_for<std::pair<const int, text>>>;

inline constexpr std::size_t size = 256 * 1024;

inline bool whole(const shared_segment& segment) { return segment.manager()->check_sanity(); }

inline text text_in(const shared_segment& segment, const char* characters) { return text{characters, segment.allocator<char>()}; }

/// Makes a vector, a string and a map under names of this process, uses and destroys them.
inline int build_and_destroy(shared_segment segment, int times, int who)
{
    auto name = "mine " + std::to_string(who), other = "table " + std::to_string(who);
    for (int i = 0; i < times; ++i) {
        auto& numbers = segment.construct<vector<int>>(name.c_str(), segment.allocator<int>());
        for (int n = 0; n < i % 50; ++n)
            numbers.push_back(n);
        auto& words = segment.construct<table>(other.c_str(), segment.allocator<std::pair<const int, text>>());
        words.emplace(i, text_in(segment, "a text that is too long to be kept in the object itself"));
        bool right = std::ranges::count(numbers, 49) == 0 && words.begin()->first == i;
        if (!segment.destroy<vector<int>>(name.c_str()) || !segment.destroy<table>(other.c_str()) || !right)
            return 1;
    }
    return 0;
}

} // namespace shared_test
