#include "header_walk.hpp"

#include <algorithm>
#include <string_view>

namespace fs = std::filesystem;

bool has_header_extension(const fs::path& path)
{
    static constexpr std::string_view extensions[] = {".h", ".hh", ".hpp", ".hxx", ".ipp", ".inl", ".tcc"};
    return std::ranges::find(extensions, path.extension().native()) != std::end(extensions);
}

bool may_be_header(const fs::path& path)
{
    return has_header_extension(path)
        || (path.filename().native().find('.') == std::string::npos
            && path.native().find("/c++/") != std::string::npos);
}

header_walk::header_walk(const fs::path& folder)
{
    auto canonical = fs::canonical(folder); // so that a relative path below a c++ folder shows it
    fs::directory_iterator readable{canonical};
    folders_.push_back(std::move(canonical));
}

std::optional<std::string> header_walk::next()
{
    while (headers_.empty() && !folders_.empty())
        read_folder();
    if (headers_.empty())
        return {};
    auto result = std::move(headers_.front());
    headers_.pop_front();
    return result;
}

void header_walk::read_folder()
{
    auto folder = std::move(folders_.back());
    folders_.pop_back();
    std::error_code error;
    fs::directory_iterator entry{folder, error}, end;
    for (; !error && entry != end; entry.increment(error)) {
        std::error_code unknown; // then it is no folder, and the worker that reads it finds out what is wrong
        if (!entry->is_symlink(unknown) && entry->is_directory(unknown))
            folders_.push_back(entry->path());
        else if (may_be_header(entry->path()) && !entry->is_directory(unknown))
            headers_.push_back(entry->path());
    }
    if (error)
        failures_.add_failure("folder: " + error.message(), folder);
}
