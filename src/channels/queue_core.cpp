#include "channels/queue_core.hpp"

#include "os/error.hpp"

#include <coproc/error.hpp>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <exception>
#include <new>
#include <system_error>
#include <utility>

namespace coproc::detail {
namespace {

constexpr std::uint64_t queue_mark = 0x636f70726f632051; // "coproc Q"
constexpr std::size_t page = 4096, smallest_segment = 64 * 1024;
constexpr std::size_t control_size = (sizeof(queue_control) + page - 1) / page * page;
// A ring of this size keeps its memory; of a larger one, what was taken is given back in steps.
constexpr std::size_t warm = 64 << 20, step = 16 << 20;

struct item_header {
    std::uint64_t size;
    std::uint64_t attempt; ///< 0: without descriptors
    std::uint64_t descriptors;
};

std::size_t place_for(std::uint64_t size) { return (sizeof(item_header) + size + 7) / 8 * 8; }

[[noreturn]] void broken() { throw protocol_error{"a queue's memory is corrupted"}; }

} // namespace

queue_core::queue_core(std::uint64_t type, std::uint64_t capacity, bool joinable, bool carries_descriptors)
{
    std::size_t end = control_size + smallest_segment;
    auto file = std::make_shared<os::descriptor>(os::make_memory_file("coproc queue", end));
    os::seal(*file, os::growth::yes);
    memory_ = os::map(*file, control_size, os::access::read_write);
    file_ = {file->get(), file};
    auto& made = *new (memory_.data()) queue_control{};
    made.mark = queue_mark;
    made.type = type;
    made.capacity = capacity;
    made.joinable = joinable;
    made.carries_descriptors = carries_descriptors;
    made.segments[0] = {control_size, smallest_segment, 0};
    made.put.state.store({.items = 0, .last = 0, .tail = 0, .end = end});
    if (carries_descriptors)
        packets_ = queue_packets::make();
}

queue_core::queue_core(std::uint64_t type, bool joinable, attachment file, queue_packets packets)
    : file_{std::move(file)}, packets_{std::move(packets)}
{
    auto facts = os::facts_of(file_.descriptor);
    if (facts.size < control_size || facts.may_shrink)
        throw protocol_error{"a descriptor that should be a queue is something else"};
    memory_ = os::map(file_.descriptor, control_size, os::access::read_write);
    if (control().mark != queue_mark || (control().carries_descriptors != 0) != packets_.there())
        throw protocol_error{"shared memory that should be a queue is something else"};
    if (control().type != type || (control().joinable != 0) != joinable)
        throw type_error{"a handle was sent of a queue of another kind or type"};
}

// What was taken is asked for first: so "none" is true, and what is there is never said to be less.
std::uint64_t queue_core::size() const noexcept
{
    auto taken = control().get.state.load().items;
    auto there = control().put.state.load().items - taken;
    return is_bounded() ? std::min(there, control().capacity) : there;
}

bool queue_core::is_done() const noexcept
{
    auto done = control().get.state.load().done; // asked for first: see size
    return done == control().put.state.load().items;
}

const queue_ring& queue_core::ring_of(std::uint64_t number, placed_ring& known)
{
    if (known.segment == number)
        return known.ring;
    auto offset = segment(number).offset, capacity = segment(number).capacity;
    auto size = os::facts_of(file_.descriptor).size;
    if (offset % page != 0 || capacity % page != 0 || capacity == 0 || offset > size || capacity > size - offset)
        broken();
    std::scoped_lock lock{rings_mutex_};
    std::erase_if(rings_, [](auto& old) { return old.second.expired(); });
    auto ring = rings_[number].lock();
    if (!ring || ring->size() != capacity)
        rings_[number] = ring = std::make_shared<os::mapping>(os::map(file_.descriptor, capacity, os::access::read_write, offset));
    known = {number, queue_ring{std::move(ring)}};
    return known.ring;
}

// Putting.

// What was seen of the other side is looked at anew only when it is not enough.
bool queue_core::has_place(const put_state& state, bool look_again) noexcept
{
    if (look_again)
        seen_gets_ = control().get.state.load();
    return !is_bounded() || state.items - seen_gets_.items < control().capacity;
}

void queue_core::add_segment(std::size_t need, put_state& state)
{
    auto& last = segment(state.last);
    if (state.last - seen_gets_.first + 1 >= control().segments.size())
        throw std::system_error{ENOBUFS, std::generic_category(), "putting into a queue that has grown too often"};
    auto capacity = std::max<std::uint64_t>({2 * last.capacity, std::bit_ceil(need), smallest_segment});
    if (os::facts_of(file_.descriptor).size < state.end + capacity) // one who died may have made it larger already
        os::resize_file(file_.descriptor, state.end + capacity);
    last.tail = state.tail;
    segment(++state.last) = {state.end, capacity, 0};
    state.end += capacity;
    state.tail = 0;
}

const queue_ring& queue_core::room_for(std::size_t need, put_state& state)
{
    for (bool looked_again : {false, true}) {
        auto& ring = ring_of(state.last, putting_);
        auto used = state.tail - (seen_gets_.first == state.last ? seen_gets_.free : 0);
        if (need <= ring.size() && used <= ring.size() - need)
            return ring;
        if (!looked_again)
            seen_gets_ = control().get.state.load();
        else if (used > ring.size())
            broken();
    }
    add_segment(need, state);
    return ring_of(state.last, putting_);
}

queue_core::result queue_core::put(std::span<const std::byte> bytes, const std::vector<attachment>& attachments)
{
    if (is_closed())
        return result::closed;
    auto state = control().put.state.load();
    if (!has_place(state, false) && !has_place(state, true))
        return result::not_now;
    item_header header{bytes.size(), 0, attachments.size()};
    if (!attachments.empty()) {
        header.attempt = control().attempts.fetch_add(1) + 1;
        if (!packets_.send(header.attempt, attachments, control().get.state.load().items == state.items))
            return result::not_now;
    }
    std::size_t need = place_for(bytes.size());
    auto& ring = room_for(need, state);
    ring.copy_in(state.tail, std::as_bytes(std::span{&header, 1}));
    ring.copy_in(state.tail + sizeof header, bytes);
    state.tail += need;
    ++state.items;
    control().put.state.store(state);
    return result::done;
}

// Getting.

// What the last change says of a holder becomes true here, if its process died before it did so itself.
get_state queue_core::begin_get() const
{
    auto state = control().get.state.load();
    if (auto place = state.holder; place > 0 && place <= control().holders.size())
        control().holders[place - 1].held.store(state.held);
    return state;
}

void queue_core::commit(const get_state& state) noexcept
{
    control().get.state.store(state);
    if (state.holder != 0)
        control().holders[state.holder - 1].held.store(state.held);
}

bool queue_core::has_item(const get_state& state) noexcept
{
    if (state.items >= seen_puts_.items)
        seen_puts_ = control().put.state.load();
    return state.items < seen_puts_.items;
}

const queue_ring& queue_core::next_ring(get_state& state)
{
    if (state.first > seen_puts_.last || seen_puts_.last - state.first >= control().segments.size())
        broken();
    while (state.first != seen_puts_.last && state.head == segment(state.first).tail) {
        os::give_back(file_.descriptor, segment(state.first).offset, segment(state.first).capacity);
        ++state.first;
        state.head = state.free = 0;
    }
    return ring_of(state.first, getting_);
}

queue_core::result queue_core::get(buffer& to, member self)
{
    for (;; to.clear()) {
        bool whole = true;
        if (auto what = take(to, self, whole); whole)
            return what;
    }
}

queue_core::result queue_core::take(buffer& to, member self, bool& whole)
{
    auto state = begin_get();
    bool closed = is_closed(); // asked for first: nothing is put after that
    if (!has_item(state))
        return closed ? result::closed : result::not_now;
    auto& ring = next_ring(state);
    auto used = (state.first == seen_puts_.last ? seen_puts_.tail : segment(state.first).tail) - state.head;
    item_header header;
    if (used < sizeof header || used > ring.size())
        broken();
    ring.copy_out(state.head, std::as_writable_bytes(std::span{&header, 1}));
    if (header.size > used - sizeof header)
        broken();
    ring.copy_out(state.head + sizeof header, {to.extend(header.size), header.size});
    state.head += place_for(header.size);
    ++state.items;
    state.holder = 0;
    if (ring.size() <= warm)
        state.free = state.head;
    std::exception_ptr failure;
    if (header.attempt != 0)
        try {
            whole = packets_.receive(header.attempt, header.descriptors, to.attachments());
        } catch (...) {
            failure = std::current_exception();
        }
    if (is_joinable()) {
        if (whole && !failure)
            change_held(state, self, 1);
        else
            ++state.done;
    }
    commit(state); // without its descriptors it is lost; the next one is not
    if (failure)
        std::rethrow_exception(failure);
    if (state.head - state.free >= step)
        give_back_memory(state);
    return result::done;
}

// Nobody uses these places before it is said that they are free. Whoever dies in between leaves that to the next one.
void queue_core::give_back_memory(get_state& state)
{
    auto offset = segment(state.first).offset, capacity = segment(state.first).capacity;
    auto end = state.head / page * page;
    auto begin = state.free % capacity, size = end - state.free;
    auto first = std::min(size, capacity - begin);
    os::give_back(file_.descriptor, offset + begin, first);
    if (first < size)
        os::give_back(file_.descriptor, offset, size - first);
    state.free = end;
    commit(state);
}

// Holders.

void queue_core::change_held(get_state& state, member who, int by)
{
    auto& holders = control().holders;
    auto place = std::ranges::find_if(holders, [&](auto& h) { return h.who.load() == who; });
    if (place == holders.end()) {
        place = std::ranges::find_if(holders, [&](auto& h) { return h.who.load() == 0; });
        if (place == holders.end() || by < 0)
            return;
        place->held.store(0);
        place->who.store(who);
    }
    auto held = place->held.load();
    state.holder = static_cast<std::uint64_t>(place - holders.begin()) + 1;
    state.held = by > 0 ? held + 1 : held - std::min<std::uint64_t>(held, 1);
}

bool queue_core::mark_done(member self)
{
    auto state = begin_get();
    if (state.done == state.items)
        throw usage_error{"more items of a joinable queue are marked as done than were taken from it"};
    ++state.done;
    state.holder = 0;
    change_held(state, self, -1);
    commit(state);
    return is_done();
}

bool queue_core::count_dead(const registry& all)
{
    for (auto& holder : control().holders) {
        auto who = holder.who.load();
        if (who == 0 || all.is_there(static_cast<member>(who)))
            continue;
        auto state = begin_get();
        state.done += std::min(holder.held.load(), state.items - state.done);
        state.holder = static_cast<std::uint64_t>(&holder - control().holders.data()) + 1;
        state.held = 0;
        commit(state);
        holder.who.store(0);
    }
    return is_done();
}

} // namespace coproc::detail
