#include "wire/bulk.hpp"

#include <coproc/error.hpp>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <system_error>

namespace coproc::detail {
namespace {

// Files that are kept for the next message: these bytes in all, and the one used last however large it is.
constexpr std::size_t max_idle = 64 << 20;
// Sizes are rounded up to an eighth, so that messages of about the same size use the same file.
constexpr std::size_t smallest_file = 128 * 1024;

struct idle_files {
    std::mutex mutex;
    std::vector<std::unique_ptr<bulk_file>> files; // the one used last at the end
};
idle_files& idle()
{
    static idle_files& instance = *new idle_files; // messages may be destroyed as late as static objects are
    return instance;
}

void give_back(bulk_file* file)
{
    std::vector<std::unique_ptr<bulk_file>> dropped;
    std::scoped_lock lock{idle().mutex};
    auto& files = idle().files;
    files.emplace_back(file);
    std::size_t bytes = 0;
    for (auto& f : files)
        bytes += f->bytes.size();
    while (bytes > max_idle && files.size() > 1) {
        bytes -= files.front()->bytes.size();
        dropped.push_back(std::move(files.front()));
        files.erase(files.begin());
    }
}

std::size_t rounded(std::size_t size)
{
    std::size_t step = smallest_file;
    while (step < size / 8)
        step *= 2;
    return (size + step - 1) / step * step;
}

// Heap first, then a memory file.
class message_storage final : public buffer_storage {
public:
    std::byte* grow(std::byte* old, std::size_t used, std::size_t& capacity) override
    {
        // Twice what there was, so that a message of many small parts is copied once on average.
        std::size_t room = std::max({capacity, 2 * used, std::size_t{128}}); // a thousand small tasks in flight stay in the cache
        if (capacity <= max_body && !file_) {
            room = std::min(room, max_body);
            std::unique_ptr<std::byte[]> heap{new std::byte[room]};
            if (used != 0)
                std::memcpy(heap.get(), old, used);
            heap_ = std::move(heap);
            capacity = room;
            return heap_.get();
        }
        if (file_) {
            std::size_t size = rounded(room);
            os::resize(file_->file, size);
            file_->bytes.resize(size);
        } else {
            file_ = acquire_bulk(room);
            if (used != 0)
                std::memcpy(file_->bytes.data(), old, used);
            heap_.reset();
        }
        capacity = file_->bytes.size();
        return file_->bytes.data();
    }

    [[nodiscard]] const std::shared_ptr<bulk_file>& file() const noexcept { return file_; }

private:
    std::unique_ptr<std::byte[]> heap_;
    std::shared_ptr<bulk_file> file_;
};

} // namespace

std::shared_ptr<bulk_file> acquire_bulk(std::size_t size)
{
    static std::atomic<std::uint64_t> ids{0};
    {
        std::scoped_lock lock{idle().mutex};
        auto& files = idle().files;
        auto best = files.end();
        for (auto f = files.begin(); f != files.end(); ++f)
            if ((*f)->bytes.size() >= size && (best == files.end() || (*f)->bytes.size() <= (*best)->bytes.size()))
                best = f;
        if (best != files.end()) {
            std::shared_ptr<bulk_file> found{best->release(), give_back};
            files.erase(best);
            return found;
        }
    }
    auto made = std::make_unique<bulk_file>();
    made->id = ++ids;
    made->file = os::make_memory_file("coproc message", rounded(size));
    os::seal(made->file, os::growth::yes);
    made->bytes = os::map(made->file, rounded(size), os::access::read_write);
    return {made.release(), give_back};
}

void drop_idle_bulk()
{
    decltype(idle_files::files) dropped;
    std::scoped_lock lock{idle().mutex};
    dropped.swap(idle().files);
}

std::size_t idle_bulk_bytes()
{
    std::scoped_lock lock{idle().mutex};
    std::size_t bytes = 0;
    for (auto& f : idle().files)
        bytes += f->bytes.size();
    return bytes;
}

buffer make_message() { return buffer{std::make_unique<message_storage>()}; }

bulk_sender::reference bulk_sender::place(buffer& message)
{
    reference result;
    if (auto* storage = dynamic_cast<message_storage*>(message.storage()))
        result.keep = storage->file();
    if (!result.keep) {
        result.keep = acquire_bulk(message.size());
        std::memcpy(result.keep->bytes.data(), message.data(), message.size());
    }
    auto& file = *result.keep;
    result.what = {file.id, message.size(), 0};
    if (auto known = known_.find(file.id); known == known_.end() || known->second.size < file.bytes.size()) {
        result.file = os::read_only(file.file);
        result.what.is_new = 1;
        known_.insert_or_assign(file.id, seen{file.life, file.bytes.size()});
    }
    return result;
}

std::vector<std::uint64_t> bulk_sender::gone()
{
    std::vector<std::uint64_t> result;
    std::erase_if(known_, [&](auto& entry) {
        if (!entry.second.life.expired())
            return false;
        result.push_back(entry.first);
        return true;
    });
    return result;
}

std::span<const std::byte> bulk_receiver::open(const bulk_reference& reference, std::optional<os::descriptor> file)
{
    if (file) {
        if (os::can_shrink(*file))
            throw protocol_error{"the memory file of a message could be cut short while it is read"};
        std::size_t size = os::size_of(*file);
        known_.insert_or_assign(reference.file, std::make_shared<os::mapping>(size == 0 ? os::mapping{} : os::map(*file, size, os::access::read)));
    }
    auto found = known_.find(reference.file);
    if (found == known_.end())
        throw protocol_error{"a message refers to a memory file that was not sent"};
    if (found->second->size() < reference.size)
        throw protocol_error{"a message is longer than its memory file"};
    return {found->second->data(), reference.size};
}

} // namespace coproc::detail
