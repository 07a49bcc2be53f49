// One value of each type that can be sent, and a comparison of two of them.
#pragma once

#include <coproc/serialize.hpp>

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

namespace wire_test {

enum class color : std::uint8_t { red, green };

struct point {
    int x = 0, y = 0;
    bool operator==(const point&) const = default;

    template <class Archive>
    void serialize(Archive& archive)
    {
        archive(x, y);
    }
};

struct node {
    int value = 0;
    std::unique_ptr<node> next;

    template <class Archive>
    void serialize(Archive& archive)
    {
        archive(value, next);
    }
};

struct every_type {
    bool yes = true;
    char letter = 'c';
    wchar_t wide = L'w';
    std::int8_t tiny = -1;
    std::uint64_t huge = ~std::uint64_t{0};
    float single = 1.5F;
    double real = 2.5;
    color hue = color::green;
    std::byte raw{7};
    point where{3, 4};
    std::string text = "text €";
    std::u16string utf16 = u"é";
    std::vector<double> doubles{1, 2, 3};
    std::vector<bool> bits{true, false, true};
    std::vector<std::string> words{"a", "", "ccc"};
    std::vector<point> points{{1, 2}, {3, 4}};
    std::vector<color> colors{color::red, color::green};
    std::array<int, 3> three{1, 2, 3};
    std::array<bool, 2> two{true, false};
    std::map<std::string, std::vector<int>> map{{"x", {1}}, {"y", {}}};
    std::multimap<int, int> multimap{{1, 2}, {1, 3}};
    std::set<int> set{3, 1, 2};
    std::unordered_map<int, std::string> hashed{{1, "one"}};
    std::unordered_set<std::string> hashed_set{"u"};
    std::pair<int, std::string> pair{1, "p"};
    std::tuple<int, double, std::string> tuple{1, 2.0, "t"};
    std::optional<int> some = 5;
    std::optional<int> none;
    std::variant<int, std::string> variant = std::string{"v"};
    std::chrono::milliseconds time{12};
    std::complex<double> complex{1, 2};
    std::bitset<11> bitset{0x5a5};
    std::deque<point> deque{{5, 6}};
    std::list<int> list{1, 2};
    std::forward_list<int> forward_list{3, 4};
    std::filesystem::path path{"/a/b.c"};
    std::unique_ptr<point> owned = std::make_unique<point>(point{7, 8});
    std::shared_ptr<std::string> shared = std::make_shared<std::string>("s");
    std::shared_ptr<std::string> same = shared;
    std::shared_ptr<int> null;

    template <class Archive>
    void serialize(Archive& archive)
    {
        archive(yes, letter, wide, tiny, huge, single, real, hue, raw, where, text, utf16, doubles, bits, words, points);
        archive(colors, three, two, map, multimap, set, hashed, hashed_set, pair, tuple, some, none, variant, time);
        archive(complex, bitset, deque, list, forward_list, path, owned, shared, same, null);
    }
};

} // namespace wire_test
