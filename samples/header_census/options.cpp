#include "options.hpp"

#include <charconv>
#include <stdexcept>

options parse(const std::vector<std::string>& arguments)
{
    options result;
    bool has_folder = false;
    for (std::size_t i = 1; i < arguments.size(); ++i) {
        const auto& argument = arguments[i];
        if (argument == "--no-comparison")
            result.comparison = false;
        else if (argument == "--no-times")
            result.comparison = result.times = false;
        else if (argument == "--json")
            result.json = true;
        else if (argument == "--help")
            result.help = true;
        else if (argument == "--workers") {
            const std::string number = i + 1 < arguments.size() ? arguments[++i] : "";
            auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), result.workers);
            if (error != std::errc{} || end != number.data() + number.size() || result.workers < 1)
                throw std::invalid_argument{"--workers needs a number of at least 1"};
        } else if (argument.starts_with("-") || argument.empty() || has_folder)
            throw std::invalid_argument{"not understood: '" + argument + "'"};
        else {
            result.folder = argument;
            has_folder = true;
        }
    }
    return result;
}
