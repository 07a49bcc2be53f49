// Containers in shared memory: processes make, find and change them in one segment. coproc/shared_segment.hpp is the one
// header that needs Boost.Interprocess, and is included by those who use it only.
#include <coproc/coproc.hpp>
#include <coproc/shared_segment.hpp>

#include <boost/interprocess/containers/map.hpp>
#include <boost/interprocess/containers/string.hpp>

#include <iostream>

// Containers of a segment need its allocator, and so do the strings in them.
using coproc::shared_segment;
using text = boost::interprocess::basic_string<char, std::char_traits<char>, shared_segment::allocator_for<char>>;
using entry = std::pair<const int, text>;
using dictionary = boost::interprocess::map<int, text, std::less<>, shared_segment::allocator_for<entry>>;

// In a process of its own: finds the container by its name and adds to it.
void translate(shared_segment segment, int number, std::string word)
{
    auto& words = segment.find_or_construct<dictionary>("words", segment.allocator<entry>());
    words.emplace(number, text{word.c_str(), segment.allocator<char>()});
}

coproc::task<> async_main()
{
    shared_segment segment{1 << 20};
    // One after the other: the segment's own books are locked, a container that several change at a time needs a mutex.
    for (auto [number, word] : {std::pair{1, "un"}, {2, "deux"}, {3, "trois"}}) {
        auto process = co_await coproc::process::start(translate, segment, number, word);
        co_await process.join();
    }
    for (auto& [number, word] : *segment.find<dictionary>("words"))
        std::cout << number << ' ' << word << '\n';
}

int main(int argc, char** argv) { return coproc::run(argc, argv, async_main); }

// Expected output:
// 1 un
// 2 deux
// 3 trois
