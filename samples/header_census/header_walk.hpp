// Finds the headers below a folder.
#pragma once

#include "census.hpp"

#include <cstdint>
#include <deque>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

/// Yields one path after the other and knows no more of the tree than it must: the folders that are still to be read
/// and the headers of one folder. Links to files are followed, links to folders are not.
class header_walk {
public:
    /// Throws std::filesystem::filesystem_error if `folder` is no folder or can't be read.
    explicit header_walk(const std::filesystem::path& folder);

    /// The next header; nothing at the end.
    [[nodiscard]] std::optional<std::string> next();
    /// Adds the folders that could not be read so far.
    void add_failures_to(census& total) const { total += failures_; }

private:
    void read_folder();

    std::vector<std::filesystem::path> folders_;
    std::deque<std::string> headers_;
    census failures_;
};

/// By the name: .h .hh .hpp .hxx .ipp .inl .tcc, or one without a dot somewhere below a folder called c++.
[[nodiscard]] bool may_be_header(const std::filesystem::path& path);
/// Whether the name alone says so: what has no extension must also look like text.
[[nodiscard]] bool has_header_extension(const std::filesystem::path& path);
