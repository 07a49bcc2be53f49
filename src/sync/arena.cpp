#include "sync/arena.hpp"

#include "sync/of_this_process.hpp"
#include "sync/registry.hpp"

#include <coproc/error.hpp>

#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

namespace coproc::detail {
namespace {

constexpr std::size_t page_size = 256 * 1024, alignment = first_object;
constexpr std::uint64_t page_mark = 0x636f70726f632031; // "coproc 1"

struct page_header {
    std::uint64_t mark;
};

std::size_t rounded(std::size_t size) { return (size + alignment - 1) / alignment * alignment; }

// The page that is being filled, and what is free in it.
struct filling {
    std::mutex mutex;
    std::shared_ptr<shared_file> page;
    std::size_t used = 0, objects = 0; ///< bytes, and objects that this process still knows
    std::map<std::size_t, std::vector<std::byte*>> free; ///< by size
};

filling& current() { return of_this_process<filling>(); }

std::shared_ptr<shared_file> make_page(std::size_t size, const char* name = "coproc objects", bool huge = false)
{
    auto page = make_shared_file(name, size, huge);
    new (page->data()) page_header{page_mark};
    return page;
}

void begin_object(object_place& place, object_kind kind, std::size_t size, std::uint64_t type)
{
    new (place.at) object_header{static_cast<std::uint32_t>(kind), static_cast<std::uint32_t>(size), type};
}

} // namespace

object_place::~object_place()
{
    if (!counted)
        return;
    auto& now = current();
    std::shared_ptr<shared_file> last; // unmapped when the lock is released
    std::scoped_lock lock{now.mutex};
    if (page != now.page || !page->is_ours())
        return;
    if (!sent.load())
        now.free[size].push_back(at);
    if (--now.objects == 0) {
        last = std::exchange(now.page, nullptr);
        now.free.clear();
    }
}

std::shared_ptr<object_place> make_object(object_kind kind, std::size_t size, std::uint64_t type)
{
    std::size_t bytes = rounded(size);
    if (bytes > page_size / 8)
        return make_object_before(0, kind, size, type, "coproc objects", false);
    registry::here(); // whoever can change it is known, so that its death is noticed
    auto result = std::make_shared<object_place>();
    result->sent = false;
    auto& now = current();
    std::scoped_lock lock{now.mutex};
    auto& free = now.free[bytes];
    if (now.page && !free.empty()) {
        result->at = free.back();
        free.pop_back();
        std::memset(result->at, 0, bytes);
    } else {
        if (!now.page || now.used + bytes > page_size) {
            now.page = make_page(page_size);
            now.used = alignment;
            now.objects = 0;
            now.free.clear();
        }
        result->at = now.page->data() + now.used;
        now.used += bytes;
    }
    ++now.objects;
    result->counted = true;
    result->page = now.page;
    result->size = bytes;
    begin_object(*result, kind, size, type);
    return result;
}

std::shared_ptr<object_place> make_object_before(std::size_t room, object_kind kind, std::size_t size, std::uint64_t type,
                                                 const char* file_name, bool huge)
{
    registry::here(); // as above
    auto result = std::make_shared<object_place>();
    result->size = rounded(size);
    result->page = make_page(alignment + result->size + room, file_name, huge);
    result->at = result->page->data() + alignment;
    begin_object(*result, kind, size, type);
    return result;
}

std::shared_ptr<object_place> object_in(std::shared_ptr<shared_file> file, std::uint64_t offset, object_kind kind, std::size_t size,
                                        std::uint64_t type)
{
    registry::here(); // as above
    std::uint64_t mark = 0;
    std::memcpy(&mark, file->data(), sizeof mark);
    if (mark != page_mark || offset % alignment != 0 || offset == 0 || offset > file->size() - alignment)
        throw protocol_error{"what should be a shared object is something else"};
    object_header header;
    std::memcpy(&header, file->data() + offset, sizeof header);
    if (header.kind != static_cast<std::uint32_t>(kind) || header.type != type)
        throw type_error{"a handle was sent of a shared object of another kind or type"};
    if (header.size != size || header.size > file->size() - offset)
        throw protocol_error{"a shared object has the wrong size"};
    auto result = std::make_shared<object_place>();
    result->at = file->data() + offset;
    result->size = rounded(size);
    result->page = std::move(file);
    return result;
}

shared_object::shared_object(object_kind kind, std::size_t size, std::uint64_t type) noexcept
    : kind_{kind}, size_{static_cast<std::uint32_t>(size)}, type_{type}
{
}

shared_object::shared_object(const shared_object& other)
    : place_{other.place()}, at_{place_->at}, kind_{other.kind_}, size_{other.size_}, type_{other.type_}
{
}

shared_object::shared_object(shared_object&& other) noexcept
    : place_{std::move(other.place_)}, at_{other.at_.exchange(nullptr)}, kind_{other.kind_}, size_{other.size_}, type_{other.type_}
{
}

shared_object& shared_object::operator=(const shared_object& other)
{
    if (this != &other) {
        place_ = other.place();
        at_ = place_->at;
    }
    return *this;
}

shared_object& shared_object::operator=(shared_object&& other) noexcept
{
    if (this != &other) {
        place_ = std::move(other.place_);
        at_ = other.at_.exchange(nullptr);
    }
    return *this;
}

shared_object::~shared_object() = default;

std::byte* shared_object::make() const
{
    static std::mutex mutex;
    std::scoped_lock lock{mutex};
    if (auto* made = at_.load())
        return made;
    place_ = make_object(kind_, size_, type_);
    at_.store(place_->at, std::memory_order_release);
    return place_->at;
}

void shared_object::adopt(std::shared_ptr<object_place> place) noexcept
{
    place_ = std::move(place);
    at_ = place_->at;
}

void shared_object::save(output_archive& archive) const
{
    auto here = place();
    save_file(archive, here->page);
    here->sent = true;
    archive(static_cast<std::uint64_t>(here->at - here->page->data()));
}

void shared_object::load(input_archive& archive)
{
    auto page = load_file(archive, 2 * alignment);
    std::uint64_t offset = 0;
    archive(offset);
    adopt(object_in(std::move(page), offset, kind_, size_, type_));
}

} // namespace coproc::detail
