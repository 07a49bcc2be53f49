// A worker's end of the channels to its pool: what belongs to a frame that came, and what goes back.
//
// When is the doorbell rung, so that the pool looks into the ring?
//   - before the worker waits, for it is idle then;
//   - after a task, if the last ring was more than `patience` ago;
//   - when the ring is half full.
// In between, results of short tasks gather, so that a thousand of them cost one system call. (A short task's result that
// waits while a long task runs is found by the pool itself, which looks after 2 ms of silence.)
#pragma once

#include "pool/usage_meter.hpp"
#include "pool/worker_page.hpp"
#include "pool/worker_setup.hpp"
#include "wire/bulk.hpp"
#include "wire/frame.hpp"

#include <coproc/detail/entry.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace coproc::detail {

/// Nanoseconds of the monotonic clock.
[[nodiscard]] std::uint64_t now();

/// A task that was claimed, for its answer.
struct claimed_task {
    frame header; ///< with which it came
    std::uint64_t begin = 0;
    const entry* what = nullptr; ///< if it is known
    const invocation* call = nullptr;
    std::optional<std::size_t> failed_at{}; ///< which of its calls
    std::shared_ptr<kept_function> function{}; ///< if it was sent apart
    std::optional<usage_meter> meter{};     ///< if what it costs is asked for
};

class worker_channel {
public:
    explicit worker_channel(worker_setup& setup) : setup_{setup}, page_{*setup.page} { setup.page->reset(); }

    [[nodiscard]] worker_page& page() noexcept { return page_; }

    /// The body of a frame, from wherever it is, and what descriptors came with it. To be called for each task, or they
    /// stay in the socket.
    std::span<const std::byte> open(const frame_reader::item& item, std::vector<attachment>& attachments);
    /// A frame that is no task: of memory files, or of functions that are sent apart. Throws protocol_error.
    void note(const frame_reader::item& item);
    /// The function whose number comes next in a task's body. Throws protocol_error if it was not sent, or why it couldn't be
    /// received.
    [[nodiscard]] std::shared_ptr<kept_function> function(input_archive& in) const;

    /// Writes to `body` that the task failed in its call `at`.
    static void fail(claimed_task& task, buffer& body, const std::exception_ptr& why, std::size_t at);
    /// What came of a task, which is in `body`. Returns when it ended.
    std::uint64_t answer(claimed_task& task, buffer& body);
    /// The next item of a task that is a generator, which is in `body` and is empty then; `before` came before it. Returns the
    /// memory file that it is in, if it is in one, which must be kept until the pool has read it.
    std::shared_ptr<bulk_file> send_item(const claimed_task& task, std::uint64_t before, buffer& body);
    void send_report(const claimed_task& task, double fraction, std::string_view text, bool at_once);
    /// It has told the pool that it is to be replaced: it begins nothing more.
    [[nodiscard]] bool retired() const noexcept { return retired_; }
    void send(frame header, buffer& body);
    void ring_if(bool reason);
    /// Before the worker waits.
    void rest() { ring_if(unrung_); }

private:
    struct arrived_function {
        std::shared_ptr<kept_function> there;
        std::exception_ptr failure; ///< why it is not
    };

    void send_usage(const claimed_task& task, std::uint64_t end);
    std::shared_ptr<bulk_file> put(frame header, buffer& body);
    void send_descriptors(std::span<const int> descriptors);
    arrived_function receive_function(const frame_reader::item& item);

    worker_setup& setup_;
    worker_page page_;
    bulk_receiver bulk_in_;
    bulk_sender bulk_out_;
    std::unordered_map<std::uint64_t, std::shared_ptr<bulk_file>> lent_;
    std::unordered_map<std::uint64_t, arrived_function> functions_;
    [[nodiscard]] bool worn_out(std::uint64_t at) const noexcept;

    std::uint64_t last_ring_ = now(), born_ = now();
    bool unrung_ = false, retired_ = false;
};

/// What the user's code wrote is out before its result is, so that it is there when the pool's caller goes on.
void flush_output();

} // namespace coproc::detail
