#pragma once

#include <string>
#include <system_error>

namespace coproc::detail {

/// The category of that name: of the standard library, of Asio, or else one that keeps the name and compares equal only
/// to itself. Lives as long as the process. Of foreign names, only the first 64 are kept apart, so that a peer cannot
/// fill the memory.
const std::error_category& category_named(const std::string& name);

}  // namespace coproc::detail
