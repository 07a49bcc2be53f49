// Every interleaving of a few processes that put into a queue and get from it. Its first segment is enough for them.
#include <coproc/detail/buffer.hpp>
#include <coproc/error.hpp>

#include <bit>
#include <cstddef>
#include <span>
#include <type_traits>

namespace explorer {
using coproc::detail::attachment;
} // namespace explorer

#define detail explored_queue
#define os explored_queue_os
#include "sync/explorer.hpp"

#include "sync/mutex_core.hpp"

namespace coproc::detail {

using explorer::attachment;

/// As the real one, but nobody sends this one.
class buffer {
public:
    std::byte* extend(std::size_t size)
    {
        bytes_.resize(bytes_.size() + size);
        return bytes_.data() + bytes_.size() - size;
    }
    [[nodiscard]] const std::byte* data() const { return bytes_.data(); }
    std::vector<attachment>& attachments() { return attachments_; }
    void clear() { bytes_.clear(); }

private:
    std::vector<std::byte> bytes_;
    std::vector<attachment> attachments_;
};

/// The only memory file there is.
inline std::span<std::byte> file_of_queue;

} // namespace coproc::detail

namespace coproc::os {

inline descriptor make_memory_file(const char*, std::size_t) { return descriptor{3}; }
inline void seal(const descriptor&, growth) {}
inline mapping map(const descriptor&, std::size_t size, access) { return {detail::file_of_queue.data(), size}; }
inline mapping map(int, std::size_t size, access, std::size_t offset) { return {detail::file_of_queue.data() + offset, size}; }
inline file_facts facts_of(int) { return {{}, detail::file_of_queue.size(), false}; }
inline void resize_file(int, std::size_t) {}
inline void give_back(int, std::size_t, std::size_t) noexcept {}

} // namespace coproc::os

#include "channels/queue_core.hpp"

#define step step_of_queue // its name is taken
#include "../../src/channels/queue_core.cpp"
#undef step
#include "../../src/channels/queue_ring.cpp"
#include "../../src/sync/mutex_core.cpp"

namespace coproc::detail {

inline queue_packets queue_packets::make() { return {}; }
inline bool queue_packets::send(std::uint64_t, const std::vector<attachment>&, bool) const { return false; }
inline bool queue_packets::receive(std::uint64_t, std::size_t, std::vector<attachment>&) const { return true; }

struct memory_of_queue {
    alignas(64) std::byte bytes[control_size + smallest_segment];
};

} // namespace coproc::detail

#undef detail
#undef os

#include <catch2/catch.hpp>

using namespace coproc::explored_queue;
using explorer::budget;
using explorer::findings;
using result = queue_core::result;

namespace {

enum class place { elsewhere, getters, putters };

struct queue_exploration : exploration<memory_of_queue> {
    explicit queue_exploration(std::uint64_t capacity) : capacity_{capacity} {}

    std::vector<std::uint64_t> put;
    std::size_t got = 0;
    bool death = false;
    std::array<place, world::most> waits{};

    queue_core& core()
    {
        auto& mine = cores_[this_process()];
        mine = std::make_unique<queue_core>(1, false, attachment{3, nullptr}, queue_packets{});
        return *mine;
    }
    void was_put(std::uint64_t item)
    {
        if (all.ghosts())
            return;
        put.push_back(item);
        if (capacity_ != 0 && put.size() - got > capacity_)
            all.fail("there are more than there may be");
    }
    void was_got(std::uint64_t item)
    {
        if (all.ghosts())
            return;
        if (got == put.size())
            all.fail("something was got that nobody had put");
        else if (put[got++] != item)
            all.fail("what was got was not the next one");
    }

protected:
    void begin() override
    {
        cores_ = {};
        file_of_queue = state().bytes;
        queue_core{1, capacity_, false, false};
        put.clear();
        got = 0;
        death = false;
        waits = {};
    }
    std::uint64_t hash_of_model() const override
    {
        std::uint64_t hash = got * 2 + death;
        for (auto item : put)
            hash = explorer::schedule::mix(hash ^ item);
        for (auto where : waits)
            hash = hash * 4 + static_cast<std::uint64_t>(where);
        return hash;
    }
    std::size_t size_that_counts() const override { return offsetof(queue_control, segments); }
    void died(std::size_t who) override
    {
        death = true;
        waits[who] = place::elsewhere;
    }
    // Only when others are gone, and there is nothing to be had.
    bool may_hang() override
    {
        bool gone = death;
        auto& control = *reinterpret_cast<queue_control*>(state().bytes);
        for (std::size_t i = 0; i < all.bodies.size(); ++i) {
            gone = gone || all.cancelled(i);
            if (all.sleeps(i)
                && (waits[i] == place::elsewhere || (waits[i] == place::getters ? got < put.size() : put.size() - got < capacity_)
                    || control.closed.peek() != 0))
                return false;
        }
        return gone;
    }
    void ended() override
    {
        if (got < put.size() && !death && std::ranges::none_of(waits, [](auto where) { return where != place::elsewhere; })) {
            for (std::size_t i = 0; i < all.bodies.size(); ++i)
                if (all.cancelled(i))
                    return;
            all.fail("something was put and not got");
        }
    }

private:
    std::uint64_t capacity_;
    std::array<std::unique_ptr<queue_core>, world::most> cores_;
};

// What queue.cpp does.

class queue_wait {
public:
    explicit queue_wait(gate& at) noexcept : at_{at} {}
    [[nodiscard]] gate& place() const noexcept { return at_; }
    [[nodiscard]] static wakes how() noexcept { return wakes::one; }
    [[nodiscard]] static bool try_now(member, unsigned) noexcept { return false; }
    void pass_on(member) noexcept { wake_one(at_, registry::here()); }

private:
    gate& at_;
};
/// Wrong.
struct keeps_its_turn : queue_wait {
    using queue_wait::queue_wait;
    void pass_on(member) {}
};

bool enter(mutex_state& mutex, virtual_party& party)
{
    if (try_take(mutex, registry::here(), false) != taken::no)
        return true;
    mutex_wait wait{mutex, registry::here()};
    return party.wait(wait);
}

template <class W, class Attempt>
result wait_in_line(queue_exploration& e, virtual_party& party, mutex_state& mutex, gate& at, place where, Attempt attempt)
{
    auto self = this_process();
    W wait{at};
    for (;;) {
        auto s = blocked_thread::make_sleeper();
        turn_in_line<W> turn{party, s, wait};
        if (!enter(mutex, party))
            return result::not_now;
        auto what = attempt();
        give_back(mutex, registry::here());
        if (what != result::not_now) {
            turn.comes_back();
            return what;
        }
        e.waits[self] = where;
        while (!s->rung())
            if (!party.sleep()) {
                e.waits[self] = place::elsewhere;
                return result::not_now;
            }
        e.waits[self] = place::elsewhere;
        turn.comes_back();
    }
}

void tell_getters(queue_core& queue)
{
    if (has_word(queue.control().getters) && queue.size() > 0)
        wake_one(queue.control().getters, registry::here());
}
void tell_putters(queue_core& queue)
{
    if (queue.may_be_full() && has_word(queue.control().putters) && (!queue.is_bounded() || queue.size() < queue.control().capacity))
        wake_one(queue.control().putters, registry::here());
}

template <class W>
bool put_one(queue_exploration& e, virtual_party& party, queue_core& queue, std::uint64_t item)
{
    auto& side = queue.control();
    auto attempt = [&] {
        auto what = queue.put(std::as_bytes(std::span{&item, 1}), {});
        if (what == result::done)
            e.was_put(item);
        return what;
    };
    auto what = wait_in_line<W>(e, party, side.put.mutex, side.putters, place::putters, attempt);
    if (what == result::not_now)
        return false;
    tell_putters(queue);
    tell_getters(queue);
    return what == result::done;
}

template <class W>
bool get_one(queue_exploration& e, virtual_party& party, queue_core& queue)
{
    auto& side = queue.control();
    auto attempt = [&] {
        buffer item;
        auto what = queue.get(item, registry::here().self());
        if (what == result::done) {
            std::uint64_t value = 0;
            std::memcpy(&value, item.data(), sizeof value);
            e.was_got(value);
        }
        return what;
    };
    auto what = wait_in_line<W>(e, party, side.get.mutex, side.getters, place::getters, attempt);
    if (what == result::not_now)
        return false;
    tell_getters(queue);
    if (what == result::done)
        tell_putters(queue);
    return what == result::done;
}

template <class W = queue_wait>
std::function<void()> putter(queue_exploration& e, std::uint64_t count, bool closes = false)
{
    return [&e, count, closes] {
        auto& party = e.party();
        auto& queue = e.core();
        for (std::uint64_t i = 0; i < count; ++i)
            if (!put_one<W>(e, party, queue, this_process() * 16 + i))
                return;
        if (!closes || !enter(queue.control().put.mutex, party))
            return;
        queue.close();
        give_back(queue.control().put.mutex, registry::here());
        wake_all(queue.control().getters, registry::here());
        wake_all(queue.control().putters, registry::here());
    };
}

template <class W = queue_wait>
std::function<void()> getter(queue_exploration& e, std::uint64_t count)
{
    return [&e, count] {
        auto& party = e.party();
        auto& queue = e.core();
        for (std::uint64_t i = 0; i < count; ++i)
            if (!get_one<W>(e, party, queue))
                return;
    };
}

constexpr std::uint64_t one = 1, unbounded = 0, all_there_are = 100;

} // namespace

TEST_CASE("one process puts and another one gets, however they are interleaved", "[channels][explore]")
{
    queue_exploration e{GENERATE(one, unbounded)};
    e.all.bodies = {putter(e, 2), getter(e, 2)};
    CHECK_NOTHING_FOUND(e.run({.switches = 3}));
    CHECK_NOTHING_FOUND(e.run({.switches = 1, .deaths = 1}));
    CHECK_NOTHING_FOUND(e.run({.switches = 2, .cancellations = 1}));
}

TEST_CASE("who gets until the queue is closed gets all, and ends", "[channels][explore]")
{
    queue_exploration e{GENERATE(one, unbounded)};
    e.all.bodies = {putter(e, 2, true), getter(e, all_there_are)};
    CHECK_NOTHING_FOUND(e.run({.switches = 2}));
    CHECK_NOTHING_FOUND(e.run({.switches = 1, .deaths = 1}));
}

TEST_CASE("two processes put and one gets, however they are interleaved", "[channels][explore]")
{
    queue_exploration e{GENERATE(one, unbounded)};
    e.all.bodies = {putter(e, 1), putter(e, 1), getter(e, 2)};
    CHECK_NOTHING_FOUND(e.run({.switches = 2}));
    CHECK_NOTHING_FOUND(e.run({.switches = 0, .deaths = 1}));
    CHECK_NOTHING_FOUND(e.run({.switches = 1, .cancellations = 1}));
}

TEST_CASE("one process puts and two get, however they are interleaved", "[channels][explore]")
{
    queue_exploration e{GENERATE(one, unbounded)};
    e.all.bodies = {getter(e, 1), getter(e, 1), putter(e, 2)};
    CHECK_NOTHING_FOUND(e.run({.switches = 1}));
    CHECK_NOTHING_FOUND(e.run({.switches = 0, .deaths = 1}));
    CHECK_NOTHING_FOUND(e.run({.switches = 1, .cancellations = 1}));
}

TEST_CASE("the explorer finds what is broken on purpose in a queue", "[channels][explore]")
{
    queue_exploration e{one};
    e.all.bodies = {getter(e, 1), getter(e, 1), putter(e, 2)};
    const auto finds = [&](budget b) { return e.finds(b); };
    using Catch::Matchers::StartsWith;
    SECTION("rings that are not heard")
    {
        e.deaf = true;
        CHECK_THAT(finds({.switches = 1}), StartsWith("somebody sleeps for ever"));
    }
    SECTION("a sleeper that leaves and does not pass on that it was woken")
    {
        e.all.bodies[0] = getter<keeps_its_turn>(e, 1);
        e.all.bodies[2] = putter(e, 1);
        CHECK_THAT(finds({.switches = 1, .cancellations = 1}), StartsWith("somebody sleeps for ever"));
    }
    SECTION("one that gets without the mutex")
    {
        e.all.bodies[0] = [&] {
            auto& queue = e.core();
            buffer item;
            if (queue.get(item, registry::here().self()) == result::done) {
                std::uint64_t value = 0;
                std::memcpy(&value, item.data(), sizeof value);
                e.was_got(value);
            }
        };
        e.all.bodies[1] = getter(e, 2);
        CHECK_FALSE(finds({.switches = 2}).empty());
    }
}
