// Both sides of a new connection prove that they know the same key, before anything else is said.
#pragma once
#include <array>
namespace coproc::detail {
inline constexpr std::array<unsigned char, 8> handshake_mark{'c', 'o', 'p', 'r', 'o', 'c', 'k', '1'};
}
