// What a pool sends to one worker: frames in a pipe, and descriptors through the socket beside it, each before its frame.
#pragma once

#include "os/descriptor.hpp"
#include "wire/bulk.hpp"
#include "wire/frame.hpp"

#include <coproc/serialize.hpp>

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

namespace coproc::detail {

class task_pipe {
public:
    /// Neither of the ends blocks.
    task_pipe(os::descriptor pipe, os::descriptor socket) noexcept : pipe_{std::move(pipe)}, socket_{std::move(socket)} {}

    /// The pipe: writable when flush may get further.
    [[nodiscard]] int number() const noexcept { return pipe_.get(); }
    [[nodiscard]] int socket() const noexcept { return socket_.get(); }

    /// Queues a frame with its body and returns the memory file that this is in, if it is. The message stays the caller's and
    /// must stay as it is until the worker is done with it; what is returned, too. Throws if its memory file can't be made.
    std::shared_ptr<bulk_file> queue_message(frame header, buffer& message);
    void queue_frame(const frame& header, std::span<const std::byte> body = {});
    /// A frame that says nothing but its kind and a number.
    void queue_word(frame_kind kind, std::uint64_t number = 0);
    /// Queues a function, unless it is there.
    void queue_function(std::uint64_t number, buffer& function);
    /// False if it is not there.
    bool drop_function(std::uint64_t number);
    /// Writes what is queued, as far as pipe and socket take it.
    void flush();

private:
    struct gift { // descriptors that go before a frame
        std::uint64_t position = 0;
        os::descriptor file;
        std::vector<attachment> attachments;
        std::size_t sent = 0;
    };
    bool send_gift(gift& what);

    os::descriptor pipe_, socket_;
    std::vector<std::byte> out_;
    std::size_t out_sent_ = 0;
    std::uint64_t position_ = 0; ///< of out_'s beginning in all that was ever queued
    std::deque<gift> gifts_;
    std::unordered_map<std::uint64_t, std::uint64_t> functions_; ///< that are there, with their memory files, if any
    bulk_sender bulk_;
};

} // namespace coproc::detail
