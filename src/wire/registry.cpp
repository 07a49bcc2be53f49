#include <coproc/detail/entry.hpp>

#include <coproc/error.hpp>

#include "os/elf_file.hpp"
#include "os/module.hpp"

#include <array>
#include <atomic>
#include <charconv>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace coproc::detail {

namespace {

struct identity {
    std::uint64_t build_id = 0, offset = 0;
    std::string path;   // empty for what was there at start
};

using place = std::pair<std::uint64_t, std::uint64_t>;   // build id, offset

// Every entry of the program. The one thing that static objects of the templates write to.
class registry {
public:
    // Leaked: entries come before it and go after it.
    static registry& instance()
    {
        static auto& all = *new registry;
        return all;
    }

    void add(entry& e)
    {
        const std::lock_guard lock{mutex_};
        e.next = first_;
        if (first_)
            first_->previous = &e;
        first_ = &e;
    }

    void remove(entry& e) noexcept
    {
        const std::lock_guard lock{mutex_};
        ++removals_;
        (e.previous ? e.previous->next : first_) = e.next;
        if (e.next)
            e.next->previous = e.previous;
        if (const auto* known = static_cast<const identity*>(e.identity.load())) {
            by_place_.erase({known->build_id, known->offset});
            identities_.erase(&e);
        }
    }

    const identity& identify(const entry& e)
    {
        if (const void* known = e.identity.load(std::memory_order_acquire))   // pairs with the release below
            return *static_cast<const identity*>(known);
        const auto home = find_module(&e);
        if (!home)
            throw usage_error{"coproc: a function that is in no module of the program"};
        const std::lock_guard lock{mutex_};
        auto& known = identities_[&e];
        if (!known) {
            known = std::make_unique<identity>();
            known->build_id = home->build_id();
            known->offset = reinterpret_cast<std::uintptr_t>(&e) - home->bias;
            known->path = home->at_start ? "" : home->path;
            by_place_[{known->build_id, known->offset}] = &e;
            e.identity.store(known.get(), std::memory_order_release);
        }
        return *known;
    }

    const entry* find(const place& at)
    {
        const std::lock_guard lock{mutex_};
        const auto found = by_place_.find(at);
        return found == by_place_.end() ? nullptr : found->second;
    }

    const entry* find(const module& home, std::uint64_t offset)
    {
        const entry* found = nullptr;
        {
            const std::lock_guard lock{mutex_};
            for (const entry* e = first_; e && !found; e = e->next)
                if (reinterpret_cast<std::uintptr_t>(e) == home.bias + offset)
                    found = e;
        }
        if (found)
            identify(*found);
        return found;
    }

    /// How many entries have gone.
    std::size_t removals() const noexcept { return removals_.load(std::memory_order_acquire); }

private:
    std::mutex mutex_;
    std::atomic<std::size_t> removals_{0};
    entry* first_ = nullptr;
    std::map<place, const entry*> by_place_;   // of those that were met
    std::unordered_map<const entry*, std::unique_ptr<identity>> identities_;
};

struct header {
    std::uint64_t build_id, offset, state_size;
    std::uint32_t path_size, check;
};

// Over the header with a check of 0, and what follows it.
std::uint32_t check_of(header h, const std::byte* path_and_state)
{
    h.check = 0;
    const auto seed = hash_bytes(reinterpret_cast<const std::byte*>(&h), sizeof h);
    const auto hash = hash_bytes(path_and_state, h.path_size + h.state_size, seed);
    return static_cast<std::uint32_t>(hash ^ hash >> 32);
}

// The identity, with its state, that this thread has checked and found last: most messages call the same function as the one
// before. Reason for the size: a function pointer takes 56 bytes.
struct last_identity {
    std::array<std::byte, 128> bytes;
    std::size_t size = 0;
    std::size_t removals = 0;
    const entry* found = nullptr;

    bool is(const std::byte* begin, std::size_t count) const noexcept
    {
        return count == size && removals == registry::instance().removals() && std::memcmp(begin, bytes.data(), count) == 0;
    }
    void note(const std::byte* begin, std::size_t count, std::size_t removals_before, const entry& e) noexcept
    {
        if (count > bytes.size())
            return;
        std::memcpy(bytes.data(), begin, count);
        size = count;
        removals = removals_before;
        found = &e;
    }
};
thread_local last_identity last;

std::string hexadecimal(std::uint64_t value)
{
    std::array<char, 16> digits;
    return {digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), value, 16).ptr};
}

[[noreturn]] void throw_unknown(const place& at, const std::string& path, bool other_build)
{
    std::string text = "coproc: unknown function identity " + hexadecimal(at.first) + "+0x" + hexadecimal(at.second);
    if (other_build)
        text += path.empty() ? ": the other side is a different build of this program or of one of its libraries"
                             : ": the other side is a different build, or has another file, of " + path;
    throw protocol_error{text};
}

// The module of a place that came in a message.
module_ptr require_module(const place& at, const std::string& path)
{
    auto home = find_module(at.first);
    if (!home && !path.empty())
        home = load_module(path, at.first);
    if (!home)
        throw_unknown(at, path, true);
    return home;
}

}  // namespace

void invocation::throw_stopped() { throw cancelled_error{"the task was asked to stop"}; }

entry::entry(void (*run)(invocation&), const char* name_of_type) : plain{run}, name{name_of_type}
{
    registry::instance().add(*this);
}

entry::entry(task<> (*run)(invocation&), const char* name_of_type) : coroutine{run}, name{name_of_type}
{
    registry::instance().add(*this);
}

namespace {
task<> refuse(invocation&) { throw protocol_error{"a message calls a generator as if it were none"}; }
} // namespace

entry::entry(stream<item_written> (*run)(invocation&), const char* name_of_type) : coroutine{&refuse}, generator{run}, name{name_of_type}
{
    registry::instance().add(*this);
}

entry::~entry() { registry::instance().remove(*this); }

std::size_t begin_function(output_archive& out, const entry& e)
{
    const auto& id = registry::instance().identify(e);
    const auto begin = out.target().size();
    const header h{id.build_id, id.offset, 0, static_cast<std::uint32_t>(id.path.size()), 0};
    out.save_binary(&h, sizeof h);
    out.save_binary(id.path.data(), id.path.size());
    return begin;
}

void end_function(output_archive& out, std::size_t begin)
{
    auto* bytes = out.target().data() + begin;
    header h;
    std::memcpy(&h, bytes, sizeof h);
    h.state_size = out.target().size() - begin - sizeof h - h.path_size;
    h.check = check_of(h, bytes + sizeof h);
    std::memcpy(bytes, &h, sizeof h);
}

const entry& decode_entry(input_archive& in)
{
    header h;
    const auto* begin = in.view(sizeof h);
    std::memcpy(&h, begin, sizeof h);
    if (h.path_size > in.remaining() || h.state_size > in.remaining() - h.path_size)
        throw_truncated(h.path_size, in.remaining());
    const auto size = sizeof h + h.path_size + h.state_size;
    if (last.is(begin, size)) {
        in.view(h.path_size);
        return *last.found;
    }
    const auto removals = registry::instance().removals();
    if (check_of(h, in.view(0)) != h.check)
        throw_malformed("a function identity that fails its check");
    const auto* path = reinterpret_cast<const char*>(in.view(h.path_size));
    const place at{h.build_id, h.offset};
    if (const auto* known = registry::instance().find(at)) {
        last.note(begin, size, removals, *known);
        return *known;
    }
    const std::string name(path, h.path_size);
    const auto home = require_module(at, name);
    const auto* found = registry::instance().find(*home, h.offset);
    if (!found)
        throw_unknown(at, name, false);
    return *found;
}

std::string task_name(const entry& e, const invocation& call)
{
    return call.target ? code_name(call.target) : e.name;
}

}  // namespace coproc::detail
