// Where a listener can be reached.
#pragma once

#include "os/descriptor.hpp"

#include <string>
#include <string_view>
#include <sys/socket.h>

namespace coproc::detail {

/// An address as users write it: "@name", a path with a slash in it, "host:port", "[host]:port".
struct endpoint {
    enum class kind { path, abstract, tcp };
    kind is = kind::path;
    std::string name; ///< path, abstract name without @, or host
    std::string port; ///< of TCP: digits
    sockaddr_storage address{};
    socklen_t size = 0;

    /// Throws usage_error for what is no address. A host's name is not looked up yet: `size` is 0 then.
    [[nodiscard]] static endpoint parse(std::string_view text);
    /// Looks the host up, which may take long. `here`: to listen at. Throws std::system_error.
    void look_up(bool here);

    [[nodiscard]] const sockaddr* raw() const noexcept { return reinterpret_cast<const sockaddr*>(&address); }
    /// A new socket for it, non-blocking.
    [[nodiscard]] os::descriptor make_socket() const;
};

/// Messages leave at once, and the end of the other machine is noticed.
void prepare_tcp(const os::descriptor& socket);

/// The address that a socket has, as users write it; for TCP with the port that was chosen.
[[nodiscard]] std::string address_of(const os::descriptor& socket);

} // namespace coproc::detail
