// The descriptors of a queue's items: packets on a socket beside the queue's memory.
//
// A packet carries the number of the attempt to put its item. An item that never came, because its process died in between,
// leaves packets behind; their number tells, and they are left out. The other way round, a process that dies when it has taken
// packets and not yet their item leaves an item behind that nobody can have.
#pragma once

#include <coproc/detail/attachment.hpp>

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace coproc::detail {

class queue_packets {
public:
    /// None: nothing can be sent.
    queue_packets() noexcept = default;
    queue_packets(attachment putting, attachment getting) noexcept : putting_{std::move(putting)}, getting_{std::move(getting)} {}
    /// A new socket. Throws std::system_error.
    [[nodiscard]] static queue_packets make();

    [[nodiscard]] bool there() const noexcept { return putting_.descriptor >= 0; }
    [[nodiscard]] const attachment& putting() const noexcept { return putting_; }
    [[nodiscard]] const attachment& getting() const noexcept { return getting_; }

    /// By one who puts at a time. False: there is no room now. `empty`: the queue has no items, so that packets that are
    /// there belong to nobody, and must not take the room for ever. Throws usage_error for too many, system_error.
    bool send(std::uint64_t attempt, const std::vector<attachment>& attachments, bool empty) const;
    /// By one who gets at a time. False: they, or some of them, went with a process that died. Throws protocol_error,
    /// system_error (no descriptors left).
    [[nodiscard]] bool receive(std::uint64_t attempt, std::size_t count, std::vector<attachment>& to) const;

private:
    attachment putting_, getting_;
};

} // namespace coproc::detail
