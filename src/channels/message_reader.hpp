// Messages on a stream of bytes, and how they are cut out of it. No I/O.
//
//     byte   0       4       8              16             24
//          +-------+-------+--------------+--------------+----------------
//          | mark  |descr. |     size     |     type     | body, size bytes
//          +-------+-------+--------------+--------------+----------------
//
//     mark    message_mark; another value is no message of ours
//     descr.  how many descriptors belong to the message: at most max_message_descriptors. The first 253 travel with the
//             first byte, the next ones with the second byte and so on, so that all are there when the header is
//     size    of the body; there is no limit
//     type    fingerprint of the body's type; 0: plain bytes
//
// All numbers in this machine's byte order: both ends are of the same program.
#pragma once

#include "os/descriptor.hpp"

#include <coproc/detail/buffer.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace coproc {
class input_archive;
class output_archive;
}

namespace coproc::detail {

inline constexpr std::uint32_t message_mark = 0x316d7063; // "cpm1"

/// Reason: the header has 24 bytes, and 253 descriptors may travel with each; 4096 leaves room and is more than most
/// processes may have.
inline constexpr std::size_t max_message_descriptors = 4096;

struct message_header {
    std::uint32_t mark = message_mark;
    std::uint32_t descriptors = 0;
    std::uint64_t size = 0;
    std::uint64_t type = 0;
};
static_assert(sizeof(message_header) == 24);

/// A message that was received.
struct message {
    std::uint64_t type = 0;
    buffer body; ///< and its descriptors
};

/// Throws authentication_error if the stream begins like a handshake, protocol_error for everything else that is wrong.
void check(const message_header& header);

/// Cuts a stream into messages. Memory is taken as bytes arrive: whatever a header announces, at most 1 MiB, or as much
/// as has come already, is taken beyond that. What was put in stays there until it is taken, so that whoever reads may
/// stop at any byte and somebody else go on; it can even go on in another process (save, load).
class message_reader {
public:
    /// Where to put the next bytes that arrive. Not empty unless the next message is complete.
    [[nodiscard]] std::span<std::byte> space();
    /// So many have been put there, and these descriptors came with them; `lost`: not all did, for want of room.
    void put(std::size_t count, std::vector<os::descriptor> descriptors = {}, bool lost = false);
    /// How many descriptors belong to the next message, once its header is there; 0 after put_descriptors.
    [[nodiscard]] std::size_t announced_descriptors() const;
    /// Those, of a stream that has them elsewhere. `lost` as above.
    void put_descriptors(std::vector<os::descriptor> descriptors, bool lost);
    /// Whether the next message is there as a whole. Throws what check does, and protocol_error if its descriptors are not
    /// there; the stream is useless then. Throws std::system_error (EMFILE) for a message whose descriptors were lost; it is
    /// left out then, and the stream goes on.
    [[nodiscard]] bool complete();
    /// The type of the next message, once it is complete.
    [[nodiscard]] std::uint64_t type() const noexcept { return header_.type; }
    /// Bytes in the body of the next message, once it is complete.
    [[nodiscard]] std::size_t size() const noexcept { return body_.size(); }
    /// Takes the next message, which is complete. `spare` is memory for one of the following.
    [[nodiscard]] message take(buffer spare = {});
    /// Nothing of a message that is not complete has come: the stream may end here.
    [[nodiscard]] bool between_messages() const noexcept { return !has_header_ && begin_ == end_; }

    /// The state, with its descriptors, for a reader elsewhere; this one is as new then.
    void save(output_archive& archive);
    void load(input_archive& archive);

private:
    void add(std::vector<os::descriptor> descriptors, bool lost);
    void begin_body();

    std::vector<std::byte> ahead_; // bytes from begin_ to end_ are not part of a message yet
    std::size_t begin_ = 0, end_ = 0;
    std::vector<attachment> descriptors_; // that came with them
    bool lost_ = false;                   // some that belong to the next header with descriptors did not
    message_header header_;
    bool has_header_ = false, misses_descriptors_ = false, has_descriptors_ = false;
    std::size_t got_ = 0; // bytes of the body that are there; body_ may be larger
    buffer body_;
};

} // namespace coproc::detail
