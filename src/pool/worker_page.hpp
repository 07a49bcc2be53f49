// The memory that a pool and one worker share: who has begun which task, and the ring of results.
//
// The pool writes the state of each task it sends ("queued"); the worker claims a task by compare-and-swap before it
// touches it ("taken"); the pool takes one back the same way ("withdrawn"). So each task is begun at most once, whoever is
// faster, and after the worker's death the pool knows which one it was in. One that has begun is asked to end there, too
// ("stopping").
//
// Results go into the ring whole before the worker goes on. What a worker finished is there when it is dead, without a
// system call for each result; the doorbell is only rung when the pool has a reason to look (see worker_main.cpp).
//
// The pool trusts nothing in here: every number is read once, checked, and the copy is used.
#pragma once

#include "os/memory_file.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace coproc::detail {

enum class task_state : std::uint8_t { queued = 1, taken, withdrawn, stopping };

inline constexpr std::size_t task_slots = 1024;      ///< tasks in flight, at least; their numbers are consecutive
inline constexpr std::size_t ring_size = 256 * 1024; ///< four of the largest frames

class worker_page {
public:
    /// Makes the memory, in the pool, for so many tasks in flight: a power of two, task_slots or more.
    explicit worker_page(std::size_t slots = task_slots);
    /// Shows it, in the worker. Throws protocol_error if the file is no such page.
    explicit worker_page(const os::descriptor& file);

    /// To be given to the worker.
    [[nodiscard]] const os::descriptor& file() const noexcept { return file_; }
    void close_file() noexcept { file_.reset(); }
    /// A power of two. Tasks whose numbers are equal modulo this have the same slot.
    [[nodiscard]] std::size_t slots() const noexcept { return last_slot_ + 1; }

    // Tasks. Each is one atomic instruction.
    void queue(std::uint64_t number) noexcept;
    /// `now`: nanoseconds of the monotonic clock. False: it was withdrawn.
    bool claim(std::uint64_t number, std::uint64_t now) noexcept;
    /// False: the worker has begun it.
    bool withdraw(std::uint64_t number) noexcept;
    /// False: it has not begun.
    bool request_stop(std::uint64_t number) noexcept;
    [[nodiscard]] task_state state(std::uint64_t number) const noexcept;
    /// When it was claimed, if it was.
    [[nodiscard]] std::uint64_t begun_at(std::uint64_t number) const noexcept;
    /// For the worker to ask itself: the task's word, and what it is when the task should stop.
    [[nodiscard]] const std::atomic<std::uint64_t>& word(std::uint64_t number) const noexcept;
    [[nodiscard]] static std::uint64_t stop_word(std::uint64_t number) noexcept;

    // A task that is a generator: how many items it may have made in all, and of how many bytes those before the next may be.
    // The pool counts from what was taken; the worker waits when it has come so far.
    /// Before the task is sent: none so far.
    void begin_items(std::uint64_t number) noexcept;
    /// True: the worker waits for it, and is to be told.
    bool allow_items(std::uint64_t number, std::uint64_t items, std::uint64_t bytes) noexcept;
    /// For the worker: whether the next one may be made. False: it will be told when that has changed.
    bool may_make_item(std::uint64_t number, std::uint64_t made, std::uint64_t bytes) noexcept;
    /// The pool has read so many of them: memory files that they came in may be used again. As allow_items.
    bool items_were_read(std::uint64_t number, std::uint64_t count) noexcept;
    /// For the worker, to ask whether the one after the first `before` is among them, also when the task has ended; and to ask
    /// to be told when that has changed (then it asks once more).
    [[nodiscard]] bool item_was_read(std::uint64_t number, std::uint64_t before) const noexcept;
    void await_items_read(std::uint64_t number) noexcept;

    /// Where the worker keeps the call it is executing (an invocation), so that its progress is known after its death. Of
    /// several at a time, only one is there.
    [[nodiscard]] void* call_place(std::uint64_t number) noexcept;
    /// How many calls of the task a dead worker had done: the index of the one that it died in. 0 if nothing is known.
    [[nodiscard]] std::size_t calls_done(std::uint64_t number) const noexcept;

    // The ring. One writer, one reader.
    /// Appends header and body at once; rings the doorbell and waits while there is no room.
    void write(std::span<const std::byte> header, std::span<const std::byte> body, const os::descriptor& doorbell);
    /// Copies what has arrived to `to` and makes room for more; 0: nothing. Throws protocol_error.
    std::size_t read(std::span<std::byte> to);
    [[nodiscard]] std::size_t available() const;
    [[nodiscard]] bool half_full() const noexcept;
    /// The same for the worker, who will be told when that has changed.
    bool half_full_for_now() noexcept;
    /// For the pool after a read: the worker is to be told.
    bool room_was_awaited() noexcept;

private:
    struct layout;
    struct slot;
    struct flow;
    [[nodiscard]] layout& shared() const noexcept { return *reinterpret_cast<layout*>(memory_.data()); }
    [[nodiscard]] slot& slot_of(std::uint64_t number) const noexcept;
    [[nodiscard]] flow& flow_of(std::uint64_t number) const noexcept;
    void copy_in(std::uint64_t at, std::span<const std::byte> bytes) noexcept;

    os::descriptor file_;
    os::mapping memory_;
    std::size_t last_slot_;
};

/// Tells the pool that there is something in the ring.
void ring(const os::descriptor& doorbell);

} // namespace coproc::detail
