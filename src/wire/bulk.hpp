// Large messages: memory files that are written once, read in place and used again.
//
// A message that outgrows a frame (max_body) is written straight into a memory file. The reader maps the file when it sees
// it first and keeps the mapping: a file that comes again costs two copies of the bytes and nothing else. A new memory
// file costs more than its transport, for its pages have to be made; hence the pool.
#pragma once

#include "os/descriptor.hpp"
#include "os/memory_file.hpp"
#include "wire/frame.hpp"

#include <coproc/detail/buffer.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

namespace coproc::detail {

/// A memory file of this process, mapped.
struct bulk_file {
    std::uint64_t id = 0;
    os::descriptor file;
    os::mapping bytes;
    std::shared_ptr<const char> life = std::make_shared<const char>(); ///< as long as it exists, used or idle
};

/// A file of at least `size` bytes from the files of this process that nobody uses. Goes back there with its last owner.
/// Thread-safe. Throws std::system_error.
[[nodiscard]] std::shared_ptr<bulk_file> acquire_bulk(std::size_t size);
/// Gives the memory of files that nobody uses back to the system. A pool does it when it ends.
void drop_idle_bulk();
/// The bytes that are kept for the next large message. For tests.
[[nodiscard]] std::size_t idle_bulk_bytes();

/// A buffer for a message: on the heap while it fits a frame, then in a memory file. (Declared in job.hpp too, for the
/// templates that make messages.)
[[nodiscard]] buffer make_message();

/// The sending side of one channel.
class bulk_sender {
public:
    struct reference {
        bulk_reference what;
        os::descriptor file; ///< to be passed along, if the reader doesn't know the file, or not at its present size
        std::shared_ptr<bulk_file> keep; ///< until the reader is done with the message
    };
    /// The message in its file; it is copied to one if it is not in one.
    [[nodiscard]] reference place(buffer& message);
    /// The files that the reader can forget, since they are gone here.
    [[nodiscard]] std::vector<std::uint64_t> gone();
    /// The reader is told to forget the file: if it comes again, it is passed along again.
    void forget(std::uint64_t file) { known_.erase(file); }

private:
    struct seen {
        std::weak_ptr<const char> life;
        std::size_t size = 0;
    };
    std::unordered_map<std::uint64_t, seen> known_;
};

/// The receiving side of one channel.
class bulk_receiver {
public:
    /// The bytes that are referred to, valid until the sender writes them again. `file`: of a new one.
    /// Throws protocol_error if there is no such file or it is shorter than announced.
    [[nodiscard]] std::span<const std::byte> open(const bulk_reference& reference, std::optional<os::descriptor> file);
    void forget(std::uint64_t file) { known_.erase(file); }
    /// Keeps a known file mapped, though it is forgotten.
    [[nodiscard]] std::shared_ptr<const void> keep(std::uint64_t file) const { return known_.at(file); }

private:
    std::unordered_map<std::uint64_t, std::shared_ptr<const os::mapping>> known_;
};

} // namespace coproc::detail
