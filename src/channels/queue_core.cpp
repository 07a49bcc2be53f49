#include "channels/queue_core.hpp"

#include "os/error.hpp"
#include "os/packet.hpp"

#include <coproc/error.hpp>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <new>
#include <poll.h>
#include <system_error>
#include <utility>

namespace coproc::detail {
namespace {

constexpr std::uint64_t queue_mark = 0x636f70726f632051; // "coproc Q"
constexpr std::size_t page = 4096, smallest_segment = 64 * 1024;
constexpr std::size_t control_size = (sizeof(queue_control) + page - 1) / page * page;

struct item_header {
    std::uint64_t size;
    std::uint64_t attempt; ///< 0: without descriptors
    std::uint64_t descriptors;
};

std::size_t place_for(std::uint64_t size) { return (sizeof(item_header) + size + 7) / 8 * 8; }

void copy_in(std::span<std::byte> ring, std::uint64_t at, std::span<const std::byte> bytes)
{
    std::size_t begin = at % ring.size(), first = std::min(bytes.size(), ring.size() - begin);
    std::memcpy(ring.data() + begin, bytes.data(), first);
    if (first < bytes.size())
        std::memcpy(ring.data(), bytes.data() + first, bytes.size() - first);
}

void copy_out(std::span<const std::byte> ring, std::uint64_t at, std::span<std::byte> bytes)
{
    std::size_t begin = at % ring.size(), first = std::min(bytes.size(), ring.size() - begin);
    std::memcpy(bytes.data(), ring.data() + begin, first);
    if (first < bytes.size())
        std::memcpy(bytes.data() + first, ring.data(), bytes.size() - first);
}

attachment own(os::descriptor descriptor)
{
    auto owner = std::make_shared<os::descriptor>(std::move(descriptor));
    return {owner->get(), owner};
}

[[noreturn]] void broken() { throw protocol_error{"a queue's memory is corrupted"}; }

} // namespace

queue_core::queue_core(std::uint64_t type, std::uint64_t capacity, bool joinable, bool carries_descriptors)
{
    std::size_t end = control_size + smallest_segment;
    auto file = os::make_memory_file("coproc queue", end);
    os::seal(file, os::growth::yes);
    memory_ = os::map(file, control_size, os::access::read_write);
    auto& made = *new (memory_.data()) queue_control{};
    made.mark = queue_mark;
    made.type = type;
    made.capacity = capacity;
    made.joinable = joinable;
    made.carries_descriptors = carries_descriptors;
    made.segments[0] = {control_size, smallest_segment, 0};
    queue_state state{};
    state.end = end;
    commit(state);
    file_ = own(std::move(file));
    if (carries_descriptors) {
        auto ends = os::make_packet_pair();
        putting_ = own(std::move(ends.first));
        getting_ = own(std::move(ends.second));
    }
}

queue_core::queue_core(std::uint64_t type, bool joinable, attachment file, attachment putting, attachment getting)
    : file_{std::move(file)}, putting_{std::move(putting)}, getting_{std::move(getting)}
{
    auto facts = os::facts_of(file_.descriptor);
    if (facts.size < control_size || facts.may_shrink)
        throw protocol_error{"a descriptor that should be a queue is something else"};
    memory_ = os::map(file_.descriptor, control_size, os::access::read_write);
    if (control().mark != queue_mark || (control().carries_descriptors != 0) != (putting_.descriptor >= 0))
        throw protocol_error{"shared memory that should be a queue is something else"};
    if (control().type != type || (control().joinable != 0) != joinable)
        throw type_error{"a handle was sent of a queue of another kind or type"};
}

queue_state queue_core::now() const noexcept
{
    std::array<std::uint64_t, sizeof(queue_state) / 8> words{};
    auto& all = control();
    for (;;) {
        auto change = all.current.load();
        for (std::size_t i = 0; i < words.size(); ++i)
            words[i] = all.states[change & 1][i].load(std::memory_order_relaxed);
        std::atomic_thread_fence(std::memory_order_acquire);
        if (all.current.load(std::memory_order_relaxed) == change)
            return std::bit_cast<queue_state>(words);
    }
}

// With the mutex. What the last change says of a holder becomes true here, if its process died before it did so itself.
queue_state queue_core::begin() const
{
    auto state = now();
    if (state.last - state.first >= control().segments.size())
        broken();
    if (control().joinable != 0)
        if (auto place = state.holder; place > 0 && place <= control().holders.size())
            control().holders[place - 1].items.store(state.items);
    return state;
}

void queue_core::commit(const queue_state& state) noexcept
{
    auto& all = control();
    auto words = std::bit_cast<std::array<std::uint64_t, sizeof(queue_state) / 8>>(state);
    auto& next = all.states[(all.current.load(std::memory_order_relaxed) + 1) & 1];
    for (std::size_t i = 0; i < words.size(); ++i)
        next[i].store(words[i], std::memory_order_relaxed);
    all.current.fetch_add(1);
    if (state.holder != 0)
        all.holders[state.holder - 1].items.store(state.items);
}

std::uint64_t queue_core::size() const noexcept
{
    auto state = now();
    return state.puts - state.gets;
}

std::span<std::byte> queue_core::memory_of(const queue_state& state, std::uint64_t number)
{
    auto found = segments_.find(number);
    if (found == segments_.end()) {
        segments_.erase(segments_.begin(), segments_.lower_bound(state.first));
        auto [offset, capacity, tail] = segment(number);
        auto size = os::facts_of(file_.descriptor).size;
        if (offset % page != 0 || capacity % page != 0 || capacity == 0 || offset > size || capacity > size - offset)
            broken();
        found = segments_.emplace(number, os::map(file_.descriptor, capacity, os::access::read_write, offset)).first;
    }
    return {found->second.data(), found->second.size()};
}

void queue_core::add_segment(queue_state& state, std::size_t need)
{
    auto& last = segment(state.last);
    if (state.last - state.first + 1 >= control().segments.size())
        throw std::system_error{ENOBUFS, std::generic_category(), "putting into a queue that has grown too often"};
    auto capacity = std::max<std::uint64_t>({2 * last.capacity, std::bit_ceil(need), smallest_segment});
    os::resize_file(file_.descriptor, state.end + capacity);
    last.tail = state.tail;
    segment(++state.last) = {state.end, capacity, 0};
    state.end += capacity;
    state.tail = 0;
}

void queue_core::drop_segment(queue_state& state)
{
    auto [offset, capacity, tail] = segment(state.first);
    os::give_back(file_.descriptor, offset, capacity);
    ++state.first;
    state.head = 0;
}

queue_core::result queue_core::put(std::span<const std::byte> bytes, const std::vector<attachment>& attachments)
{
    if (is_closed())
        return result::closed;
    auto state = begin();
    if (control().capacity != 0 && state.puts - state.gets >= control().capacity)
        return result::not_now;
    item_header header{bytes.size(), 0, attachments.size()};
    if (!attachments.empty()) {
        header.attempt = control().attempts.fetch_add(1) + 1;
        if (!send(header.attempt, attachments, state.puts == state.gets))
            return result::not_now;
    }
    std::size_t need = place_for(bytes.size());
    auto ring = memory_of(state, state.last);
    auto used = state.tail - (state.first == state.last ? state.head : 0);
    if (used > ring.size())
        broken();
    if (need > ring.size() - used) {
        add_segment(state, need);
        ring = memory_of(state, state.last);
    }
    copy_in(ring, state.tail, std::as_bytes(std::span{&header, 1}));
    copy_in(ring, state.tail + sizeof header, bytes);
    state.tail += need;
    ++state.puts;
    ++state.unfinished;
    state.holder = 0;
    commit(state);
    return result::done;
}

queue_core::result queue_core::get(buffer& to, member self)
{
    auto state = begin();
    if (state.puts == state.gets)
        return is_closed() ? result::closed : result::not_now;
    while (state.first != state.last && state.head == segment(state.first).tail)
        drop_segment(state);
    auto ring = memory_of(state, state.first);
    auto used = (state.first == state.last ? state.tail : segment(state.first).tail) - state.head;
    item_header header;
    if (used < sizeof header || used > ring.size())
        broken();
    copy_out(ring, state.head, std::as_writable_bytes(std::span{&header, 1}));
    if (header.size > used - sizeof header)
        broken();
    copy_out(ring, state.head + sizeof header, {to.extend(header.size), header.size});
    state.head += place_for(header.size);
    ++state.gets;
    if (state.puts == state.gets && state.first == state.last)
        state.head = state.tail = 0;
    state.holder = 0;
    if (control().joinable != 0)
        change_items(state, self, 1);
    if (header.attempt != 0)
        try {
            receive(header.attempt, header.descriptors, to.attachments());
        } catch (...) { // its descriptors are lost, and it with them; the next one is not
            commit(state);
            throw;
        }
    commit(state);
    return result::done;
}

void queue_core::change_items(queue_state& state, member who, int by)
{
    auto& holders = control().holders;
    auto place = std::ranges::find_if(holders, [&](auto& h) { return h.who.load() == who; });
    if (place == holders.end()) {
        place = std::ranges::find_if(holders, [&](auto& h) { return h.who.load() == 0; });
        if (place == holders.end() || by < 0)
            return;
        place->items.store(0);
        place->who.store(who);
    }
    auto items = place->items.load();
    state.holder = static_cast<std::uint64_t>(place - holders.begin()) + 1;
    state.items = by > 0 ? items + 1 : items - std::min<std::uint64_t>(items, 1);
}

bool queue_core::mark_done(member self)
{
    auto state = begin();
    if (state.unfinished == state.puts - state.gets) // what still waits can't be done
        throw usage_error{"more items of a joinable queue are marked as done than were taken from it"};
    --state.unfinished;
    state.holder = 0;
    change_items(state, self, -1);
    commit(state);
    return state.unfinished == 0;
}

bool queue_core::count_dead(const registry& all)
{
    for (auto& holder : control().holders) {
        auto who = holder.who.load();
        if (who == 0 || all.is_there(static_cast<member>(who)))
            continue;
        auto state = begin();
        state.unfinished -= std::min(holder.items.load(), state.unfinished - (state.puts - state.gets));
        state.holder = static_cast<std::uint64_t>(&holder - control().holders.data()) + 1;
        state.items = 0;
        commit(state);
        holder.who.store(0);
    }
    return now().unfinished == 0;
}

// Packets that are there although no item is belong to attempts that came to nothing; they must not take the room for ever.
bool queue_core::send(std::uint64_t attempt, const std::vector<attachment>& attachments, bool none_waits)
{
    std::vector<int> numbers;
    for (auto& attachment : attachments)
        numbers.push_back(attachment.descriptor);
    auto tag = std::as_bytes(std::span{&attempt, 1});
    for (std::span<const int> left{numbers}; !left.empty();) {
        auto now = left.first(std::min(left.size(), os::max_descriptors));
        switch (os::send_packet(putting_.descriptor, tag, now)) {
        case os::sent::yes: left = left.subspan(now.size()); break;
        case os::sent::nobody_listens: broken();
        case os::sent::would_block:
            if (!none_waits)
                return false;
            if (left.size() < numbers.size())
                throw usage_error{"an item of a queue carries more descriptors than the system passes on at a time"};
            for (std::uint64_t old = 0; os::receive_packet(getting_.descriptor, std::as_writable_bytes(std::span{&old, 1}), os::wait::no).what == os::received::packet;) {
            }
            none_waits = false;
        }
    }
    return true;
}

void queue_core::receive(std::uint64_t attempt, std::size_t count, std::vector<attachment>& attachments)
{
    while (attachments.size() < count) {
        std::uint64_t tag = 0;
        auto packet = os::receive_packet(getting_.descriptor, std::as_writable_bytes(std::span{&tag, 1}), os::wait::no);
        if (packet.what != os::received::packet || packet.size != sizeof tag || packet.descriptors.empty())
            throw protocol_error{"descriptors of an item are missing"};
        if (tag == attempt)
            for (auto& descriptor : packet.descriptors)
                attachments.push_back(own(std::move(descriptor)));
    }
}

} // namespace coproc::detail
