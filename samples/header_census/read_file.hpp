// A file's bytes, or why there are none.
#pragma once

#include <optional>
#include <string>

/// Replaces `text` by the whole content of the file. Returns why that is impossible: the kernel's words, or
/// "not a regular file", or "larger than 256 MiB".
[[nodiscard]] std::optional<std::string> read_file(const std::string& path, std::string& text);
