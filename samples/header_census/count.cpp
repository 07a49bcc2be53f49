#include "count.hpp"

#include "header_walk.hpp"
#include "read_file.hpp"
#include "tokens.hpp"

#include <algorithm>
#include <string_view>

namespace {

constexpr std::size_t looked_at = 8000; // bytes; as many as git looks at to tell text from binary

void count_file(const std::string& path, std::string& text, census& total)
{
    auto problem = read_file(path, text);
    if (!problem && std::string_view{text}.substr(0, looked_at).find('\0') != std::string_view::npos) {
        if (!has_header_extension(path))
            return; // a program, say: no header after all
        problem = "binary";
    }
    if (problem)
        return total.add_failure(*problem, path);
    ++total.files;
    total.bytes += text.size();
    total.lines += static_cast<std::uint64_t>(std::ranges::count(text, '\n'));
    read_tokens(text, total.identifiers, total.includes);
}

} // namespace

census count_files(std::vector<std::string> paths)
{
    census total;
    std::string text; // one for all: its memory is used again
    for (auto& path : paths)
        count_file(path, text, total);
    return total;
}

census count_folder(std::string folder)
{
    census total;
    std::string text;
    header_walk walk{folder};
    while (auto path = walk.next())
        count_file(*path, text, total);
    walk.add_failures_to(total);
    return total;
}
