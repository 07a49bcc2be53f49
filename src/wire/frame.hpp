// Frames: what travels between a pool and a worker, both ways.
//
//     byte   0   4   5   6   8       12      16          24            32
//          +---+---+---+---+-------+-------+-----------+-------------+----------------
//          |   size|knd|flg| descr.| count |  number   |    time     | body, size bytes
//          +---+---+---+---+-------+-------+-----------+-------------+----------------
//
//     size    of the body: at most max_body
//     knd     a frame_kind
//     flg     bit 0: the real body is in a memory file, and this one is a bulk_reference
//             bit 1: the worker is to be replaced; bit 2: the function of the task was sent before
//     descr.  how many descriptors were sent before this frame on the socket beside it, and belong to it
//     count   calls in a task, results in a result
//     number  of the task at this worker; results repeat it
//     time    of a result or failure: nanoseconds the task took; of a task: index of its first call in the job's input; of
//             an item: how many came before it
//
// All numbers in this machine's byte order: both ends are the same executable on the same machine. The header is apart
// from the body so that a body that can't be decoded costs one task and not the stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace coproc::detail {

enum class frame_kind : std::uint8_t {
    task = 1,    ///< to the worker: function and arguments
    release,     ///< both ways: the memory file `number` was read and may be used again
    forget,      ///< both ways: the memory file `number` won't be used again
    stop,        ///< to the worker: end in an orderly way
    result,      ///< from the worker: results of all calls
    failure,     ///< from the worker: the exception of call `count`, counted from 0
    broken,      ///< from the worker: the exception of the initializer (number 0) or finalizer (1)
    function,    ///< to the worker: function `number`, for tasks to come
    drop,        ///< to the worker: no task to come calls function `number`
    leaving,     ///< from the worker: it had nothing to do for long enough, begins nothing more and ends
    usage,       ///< from the worker: what the task cost, a task_statistics; before its result
    item,        ///< from the worker: the next item of a task that is a generator; its result, without body, is the end
    report       ///< from the worker: how far call `count` of a task is
};

/// Bodies are small enough for a pipe's buffer; what is larger goes through a memory file.
inline constexpr std::size_t max_body = 60 * 1024;

struct frame {
    std::uint32_t size = 0;
    frame_kind kind{};
    std::uint8_t flags = 0;
    std::uint16_t descriptors = 0;
    std::uint32_t count = 0;
    std::uint32_t reserved = 0;
    std::uint64_t number = 0;
    std::uint64_t time = 0;

    static constexpr std::uint8_t bulk = 1;    ///< the body is a bulk_reference
    static constexpr std::uint8_t retires = 2; ///< from the worker: it begins nothing more and is to be replaced
    static constexpr std::uint8_t apart = 4;   ///< of a task: its body begins with the number of a function (u64)
    static constexpr std::uint8_t measured = 8; ///< of a task: its usage is to be sent
};
static_assert(sizeof(frame) == 32);

/// The body of a frame with flag bulk.
struct bulk_reference {
    std::uint64_t file = 0; ///< a number the sender gives each of its memory files
    std::uint64_t size = 0; ///< bytes, from the file's beginning
    std::uint64_t is_new = 0; ///< 1: the first of the frame's descriptors is the file
};

/// Checks what a header says against the format; throws protocol_error that names what is wrong.
void check(const frame& header);

/// Cuts a stream of bytes into frames; no I/O.
class frame_reader {
public:
    struct item {
        frame header;
        std::span<const std::byte> body; ///< until the next call of any member
    };

    /// Where to put the next bytes that arrive; at least `least` of them.
    [[nodiscard]] std::span<std::byte> space(std::size_t least = 4096);
    /// So many have been put there.
    void put(std::size_t count) noexcept { end_ += count; }
    /// The next whole frame; nothing if more bytes are needed. Throws protocol_error; the stream is useless then.
    [[nodiscard]] std::optional<item> next();
    /// Bytes of a frame that is not whole yet.
    [[nodiscard]] std::size_t pending() const noexcept { return end_ - begin_; }

private:
    std::vector<std::byte> bytes_;
    std::size_t begin_ = 0, end_ = 0;
};

} // namespace coproc::detail
