// A process on its way up: from the request to the moment it has accepted its call.
//
//     this process                 fork server                  new process
//     ------------                 -----------                  -----------
//     control socket: the order
//     request, with the socket ->  clones             ->        reads the order
//                              <-  'P' pid, pidfd               checks the function
//                              <-- control socket -------       'H' pid, lifeline; or 'R' why it refuses
//
// Whichever of 'P' and 'H' comes first names the process: so one whose fork server was killed under way is not lost. If
// the socket ends before either, nothing of the user's has run, and the request is made again. With spawn and fork the
// process is known at once, and only the new process answers; it gets its order once it is known, so that it can't have
// ended before (and be gone, where SIGCHLD is ignored).
#pragma once

#include "os/child.hpp"
#include "os/packet.hpp"
#include "process/launch.hpp"

#include <array>


namespace coproc::detail {

class startup {
public:
    /// Makes the request. With start method fork, this returns in the parent only; the child becomes what it shall be.
    /// Throws: usage_error (too early; fork with threads), std::system_error. Nothing is left behind then.
    explicit startup(launch what);
    /// A process that was not taken is killed and reaped; if it is not known yet, this waits until it is.
    ~startup();
    startup(const startup&) = delete;
    startup& operator=(const startup&) = delete;

    /// Reads what has arrived on the control socket; true once the process is known and has accepted.
    /// Throws what the new process refused (protocol_error), or that it could not be made (std::system_error).
    bool advance();

    /// The socket to wait on (readable) before calling advance again; may change in advance.
    [[nodiscard]] int control() const noexcept { return control_.get(); }
    /// The process, as soon as it is known.
    [[nodiscard]] const os::child& child() const noexcept { return child_; }
    /// The number of its end of the lifeline, once it has accepted.
    [[nodiscard]] int lifeline() const noexcept { return lifeline_; }
    [[nodiscard]] os::child take_child() noexcept
    {
        control_.reset(); // a reply that comes late is for nobody
        return std::move(child_);
    }

private:
    void request();
    void take(os::packet& packet, std::span<const std::byte> bytes);
    void ended();
    void kill_child() noexcept;

    launch launch_;
    os::descriptor control_;
    std::array<std::byte, 4096> replies_;
    os::child child_;
    int lifeline_ = -1;
    bool accepted_ = false;
    int tries_ = 0;
};

/// What comes back on the control socket; the packet's first byte. `failed` carries an errno, of the fork server or of the new
/// process, `refused` a text.
enum class startup_reply : unsigned char { process = 'P', failed = 'F', hello = 'H', refused = 'R' };

} // namespace coproc::detail
