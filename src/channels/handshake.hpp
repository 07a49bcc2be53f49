// Both sides of a new connection prove that they know the same key, before anything else is said.
//
//     listener -> client    mark, 32 random bytes L                                   40 bytes
//     client -> listener    mark, 32 random bytes C, HMAC(key, "client" L C)          72 bytes
//     listener -> client    HMAC(key, "listener" L C), or the end of the stream       32 bytes
//
// HMAC-SHA256. The key never travels. Both sides' random bytes are in both proofs, so that none can be used twice, and the
// role is, so that none can be sent back to who made it. Each message has one length, and nothing else is read before.
#pragma once

#include <coproc/task.hpp>

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace coproc::detail {

inline constexpr std::array<unsigned char, 8> handshake_mark{'c', 'o', 'p', 'r', 'o', 'c', 'k', '1'};

using random_bytes = std::array<std::byte, 32>;
using proof_bytes = std::array<std::byte, 32>;
enum class role { listener, client };

/// What proves the key. `random`: the listener's bytes, then the client's.
[[nodiscard]] proof_bytes proof(role who, std::string_view key, const random_bytes& of_listener, const random_bytes& of_client);
/// Compares in a time that does not depend on where they differ.
[[nodiscard]] bool same(const proof_bytes& a, const proof_bytes& b) noexcept;

/// The listener's, or the client's, side of it on a new socket. Throws authentication_error if the other side does not know
/// the key, closes, or speaks something else; std::system_error. It has no limit of time of its own.
[[nodiscard]] task<> shake_hands(role self, int socket, std::string key);

} // namespace coproc::detail
