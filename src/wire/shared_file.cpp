#include <coproc/detail/shared_file.hpp>

#include "os/descriptor.hpp"
#include "os/memory_file.hpp"
#include "os/stamp.hpp"

#include <coproc/detail/large_buffer.hpp>
#include <coproc/error.hpp>

#include <cstdint>
#include <map>
#include <mutex>
#include <utility>

namespace coproc::detail {
namespace {

using file_id = decltype(os::file_facts::id);

// What was made here or has come here, by the file's number on the system. It is not given again while somebody has the
// file. A forked copy of the process begins with none.
struct known_files {
    std::mutex mutex;
    std::uint64_t stamp = os::process_stamp();
    std::map<file_id, std::weak_ptr<shared_file>> files;
};

known_files& known()
{
    static std::mutex mutex;
    static known_files* instance = new known_files; // never destroyed: handles may be static objects
    std::scoped_lock lock{mutex};
    if (instance->stamp != os::process_stamp())
        instance = new known_files; // the old one may have been locked when the process was copied
    return *instance;
}

class file_here final : public shared_file {
public:
    file_here(attachment descriptor, os::mapping memory, file_id id) : memory_{std::move(memory)}, id_{id}
    {
        data_ = memory_.data();
        size_ = memory_.size();
        descriptor_ = std::move(descriptor);
    }
    ~file_here() override
    {
        auto& all = known();
        std::scoped_lock lock{all.mutex};
        if (auto found = all.files.find(id_); found != all.files.end() && found->second.expired())
            all.files.erase(found);
    }

private:
    os::mapping memory_;
    file_id id_;
};

constexpr std::uint8_t next_descriptor = 0, same_descriptor = 1;

} // namespace

shared_file::shared_file() noexcept : stamp_{os::process_stamp()} {}
bool shared_file::is_ours() const noexcept { return stamp_ == os::process_stamp(); }

std::shared_ptr<shared_file> make_shared_file(const char* name, std::size_t size, bool huge)
{
    auto owner = std::make_shared<os::descriptor>(os::make_memory_file(name, size));
    os::seal(*owner, os::growth::no);
    auto memory = os::map(*owner, size, os::access::read_write);
    if (huge)
        expect_large_buffer(memory.data(), size);
    auto id = os::facts_of(owner->get()).id;
    auto made = std::make_shared<file_here>(attachment{owner->get(), owner}, std::move(memory), id);
    auto& all = known();
    std::scoped_lock lock{all.mutex};
    all.files[id] = made;
    return made;
}

void save_file(output_archive& archive, const std::shared_ptr<shared_file>& file)
{
    if (!file->is_ours())
        throw usage_error{"a handle that was inherited by fork can be used, but not sent: let the parent send it as an argument"};
    auto& sent = archive.target().attachments();
    bool same = !sent.empty() && sent.back().keep == file->descriptor().keep;
    archive(same ? same_descriptor : next_descriptor);
    if (!same)
        archive.attach(file->descriptor());
}

std::shared_ptr<shared_file> load_file(input_archive& archive, std::size_t least)
{
    std::uint8_t which = 0;
    archive(which);
    auto descriptor = which == same_descriptor ? archive.remembered() : archive.take_attachment();
    archive.remember(descriptor);
    auto [id, size, may_shrink] = os::facts_of(descriptor.descriptor);
    std::shared_ptr<shared_file> file; // goes after the lock is released, as its destructor takes it
    auto& all = known();
    std::scoped_lock lock{all.mutex};
    if (auto found = all.files.find(id); found != all.files.end())
        file = found->second.lock();
    if (!file) {
        if (size == 0 || may_shrink)
            throw protocol_error{"a descriptor that should be shared memory is something else"};
        auto memory = os::map(descriptor.descriptor, size, os::access::read_write);
        file = std::make_shared<file_here>(std::move(descriptor), std::move(memory), id);
        all.files[id] = file;
    }
    if (file->size() < least)
        throw protocol_error{"shared memory that was sent is smaller than what should be in it"};
    return file;
}

} // namespace coproc::detail
