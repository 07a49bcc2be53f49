#include "pool/worker_page.hpp"

#include "os/calls.hpp"
#include "os/futex.hpp"

#include <coproc/detail/entry.hpp>
#include <coproc/error.hpp>

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <new>

namespace coproc::detail {

// Counters of the ring run on for ever; positions are what remains of them modulo ring_size. The slots follow, then as many
// flows, whose memory is only touched for generators.
struct worker_page::layout {
    alignas(64) std::atomic<std::uint64_t> written; // by the worker
    std::atomic<std::uint64_t> called; // the task whose invocation is in `call`
    alignas(invocation) std::array<std::byte, sizeof(invocation)> call;
    alignas(64) std::atomic<std::uint64_t> read; // by the pool
    std::atomic<std::uint32_t> room_wanted;      // 1 while the worker sleeps until there is room
    std::atomic<std::uint32_t> room_awaited;     // 1 while a generator waits until it is less than half full
    alignas(64) std::array<std::byte, ring_size> ring;
};
struct worker_page::slot {
    std::atomic<std::uint64_t> word;  // number * 8 + state
    std::atomic<std::uint64_t> begun; // by the worker, before it claims
};
struct worker_page::flow {
    std::atomic<std::uint64_t> items, bytes, read; // by the pool
    std::atomic<std::uint32_t> awaited;            // 1 while the worker waits for a change of these
};

namespace {

std::uint64_t word_of(std::uint64_t number, task_state state) { return number * 8 + static_cast<std::uint64_t>(state); }

} // namespace

worker_page::worker_page(std::size_t slots)
    : file_{os::make_memory_file("coproc worker", sizeof(layout) + slots * (sizeof(slot) + sizeof(flow)))},
      memory_{os::map(file_, sizeof(layout) + slots * (sizeof(slot) + sizeof(flow)), os::access::read_write)}, last_slot_{slots - 1}
{
    os::seal(file_, os::growth::no);
    // Begins the objects' lives. The ring is zero already, and its pages are made as they are used.
    new (memory_.data()) layout;
    std::uninitialized_default_construct_n(&slot_of(0), slots);
}

worker_page::worker_page(const os::descriptor& file)
{
    std::size_t size = os::size_of(file), slots = size > sizeof(layout) ? (size - sizeof(layout)) / (sizeof(slot) + sizeof(flow)) : 0;
    if (slots < task_slots || !std::has_single_bit(slots))
        throw protocol_error{"the memory that a worker was given has the wrong size"};
    memory_ = os::map(file, size, os::access::read_write);
    last_slot_ = slots - 1;
}

worker_page::slot& worker_page::slot_of(std::uint64_t number) const noexcept
{
    return reinterpret_cast<slot*>(memory_.data() + sizeof(layout))[number & last_slot_];
}

worker_page::flow& worker_page::flow_of(std::uint64_t number) const noexcept
{
    return reinterpret_cast<flow*>(memory_.data() + sizeof(layout) + slots() * sizeof(slot))[number & last_slot_];
}

// The frame that tells of a task travels through a pipe, which orders all that was written before it; so does the ring's
// counter for results. The words themselves only need to be atomic.
void worker_page::queue(std::uint64_t number) noexcept
{
    slot_of(number).word.store(word_of(number, task_state::queued), std::memory_order_relaxed);
}

bool worker_page::claim(std::uint64_t number, std::uint64_t now) noexcept
{
    auto& mine = slot_of(number);
    mine.begun.store(now, std::memory_order_relaxed);
    auto expected = word_of(number, task_state::queued);
    // Release: whoever sees that it was taken sees when.
    return mine.word.compare_exchange_strong(expected, word_of(number, task_state::taken), std::memory_order_release, std::memory_order_relaxed);
}

bool worker_page::withdraw(std::uint64_t number) noexcept
{
    auto expected = word_of(number, task_state::queued);
    return slot_of(number).word.compare_exchange_strong(expected, word_of(number, task_state::withdrawn), std::memory_order_relaxed);
}

bool worker_page::request_stop(std::uint64_t number) noexcept
{
    auto expected = word_of(number, task_state::taken);
    auto& word = slot_of(number).word;
    return word.compare_exchange_strong(expected, stop_word(number), std::memory_order_relaxed) || expected == stop_word(number);
}

task_state worker_page::state(std::uint64_t number) const noexcept
{
    auto value = slot_of(number).word.load(std::memory_order_acquire);
    return value / 8 == number ? static_cast<task_state>(value % 8) : task_state::withdrawn;
}

std::uint64_t worker_page::begun_at(std::uint64_t number) const noexcept
{
    return slot_of(number).begun.load(std::memory_order_relaxed);
}

const std::atomic<std::uint64_t>& worker_page::word(std::uint64_t number) const noexcept { return slot_of(number).word; }
std::uint64_t worker_page::stop_word(std::uint64_t number) noexcept { return word_of(number, task_state::stopping); }

void worker_page::begin_items(std::uint64_t number) noexcept { new (&flow_of(number)) flow{}; }

// Sequentially consistent on both sides: either the pool sees the wish, or the worker sees what it wishes for.
bool worker_page::allow_items(std::uint64_t number, std::uint64_t items, std::uint64_t bytes) noexcept
{
    auto& f = flow_of(number);
    f.bytes.store(bytes);
    f.items.store(items);
    return f.awaited.exchange(0) != 0;
}

bool worker_page::items_were_read(std::uint64_t number, std::uint64_t count) noexcept
{
    auto& f = flow_of(number);
    f.read.store(count);
    return f.awaited.exchange(0) != 0;
}

// Another task has its place only when the pool has read all that it sent.
bool worker_page::item_was_read(std::uint64_t number, std::uint64_t before) const noexcept
{
    return slot_of(number).word.load() / 8 != number || flow_of(number).read.load() > before;
}

void worker_page::await_items_read(std::uint64_t number) noexcept { flow_of(number).awaited.store(1); }

bool worker_page::may_make_item(std::uint64_t number, std::uint64_t made, std::uint64_t bytes) noexcept
{
    auto& f = flow_of(number);
    auto allowed = [&] { return made < f.items.load() && bytes <= f.bytes.load(); };
    if (allowed())
        return true;
    f.awaited.store(1);
    return allowed();
}

void* worker_page::call_place(std::uint64_t number) noexcept
{
    shared().called.store(number, std::memory_order_relaxed);
    return shared().call.data();
}

std::size_t worker_page::calls_done(std::uint64_t number) const noexcept
{
    if (shared().called.load(std::memory_order_relaxed) != number)
        return 0;
    return std::launder(reinterpret_cast<const invocation*>(shared().call.data()))->done;
}

void worker_page::copy_in(std::uint64_t at, std::span<const std::byte> bytes) noexcept
{
    if (bytes.empty())
        return;
    std::size_t begin = at % ring_size, first = std::min(bytes.size(), ring_size - begin);
    std::memcpy(shared().ring.data() + begin, bytes.data(), first);
    std::memcpy(shared().ring.data(), bytes.data() + first, bytes.size() - first);
}

void worker_page::write(std::span<const std::byte> header, std::span<const std::byte> body, const os::descriptor& doorbell)
{
    auto& page = shared();
    auto at = page.written.load(std::memory_order_relaxed); // only written here
    std::size_t size = header.size() + body.size();
    // Acquire: what the pool has read may be overwritten only after it has read it.
    while (ring_size - (at - page.read.load(std::memory_order_acquire)) < size) {
        // Sequentially consistent on both sides: either the pool sees the wish, or this sees the room it made.
        page.room_wanted.store(1);
        if (ring_size - (at - page.read.load()) < size) {
            ring(doorbell);
            os::futex_wait(page.room_wanted, 1);
        }
        page.room_wanted.store(0);
    }
    copy_in(at, header);
    copy_in(at + header.size(), body);
    // Release: whoever sees the counter sees the bytes.
    page.written.store(at + size, std::memory_order_release);
}

std::size_t worker_page::available() const
{
    auto written = shared().written.load(std::memory_order_acquire);
    auto read = shared().read.load(std::memory_order_relaxed);
    if (written - read > ring_size)
        throw protocol_error{"a worker's ring of results is corrupted"};
    return written - read;
}

std::size_t worker_page::read(std::span<std::byte> to)
{
    auto& page = shared();
    std::size_t count = std::min(available(), to.size());
    if (count == 0)
        return 0;
    auto at = page.read.load(std::memory_order_relaxed); // the worker could change it, but only to harm itself
    std::size_t begin = at % ring_size, first = std::min(count, ring_size - begin);
    std::memcpy(to.data(), page.ring.data() + begin, first);
    std::memcpy(to.data() + first, page.ring.data(), count - first);
    page.read.store(at + count); // see write
    if (page.room_wanted.load() != 0) {
        page.room_wanted.store(0);
        os::futex_wake(page.room_wanted);
    }
    return count;
}

bool worker_page::half_full() const noexcept
{
    return shared().written.load(std::memory_order_relaxed) - shared().read.load(std::memory_order_relaxed) > ring_size / 2;
}

bool worker_page::half_full_for_now() noexcept
{
    auto& page = shared();
    auto full = [&] { return page.written.load() - page.read.load() > ring_size / 2; };
    if (!full())
        return false;
    page.room_awaited.store(1); // see write
    return full();
}

bool worker_page::room_was_awaited() noexcept { return shared().room_awaited.load() != 0 && shared().room_awaited.exchange(0) != 0; }

void ring(const os::descriptor& doorbell) { os::ring(doorbell.get()); }

} // namespace coproc::detail
