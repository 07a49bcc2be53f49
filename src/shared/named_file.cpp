#include "shared/named_file.hpp"

#include "os/error.hpp"
#include "os/named_memory.hpp"
#include "os/stamp.hpp"
#include "shared/name_watch.hpp"

#include <coproc/error.hpp>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <random>
#include <utility>

namespace coproc::detail {
namespace {

// Names at random have 64 bits; a handful of tries is more than enough.
constexpr int max_tries = 10;

std::string random_name()
{
    constexpr char digits[] = "0123456789abcdef";
    std::random_device random;
    std::string name = "coproc-";
    for (int i = 0; i < 16; ++i)
        name += digits[random() % 16];
    return name;
}

} // namespace

class named_descriptor {
public:
    named_descriptor(os::descriptor opened, std::string its_name, bool is_owner)
        : file{std::move(opened)}, name{std::move(its_name)}, owns{is_owner}
    {
        if (owns)
            begin_name_watch(name);
    }
    named_descriptor(const named_descriptor&) = delete;
    named_descriptor& operator=(const named_descriptor&) = delete;
    ~named_descriptor()
    {
        if (stamp != os::process_stamp()) {
            static_cast<void>(file.release()); // in a forked copy: the number may be another file's by now
            return;
        }
        file.reset();
        if (owns)
            end_name_watch(name);
    }

    os::descriptor file;
    std::string name;
    std::atomic<bool> owns;
    std::atomic<bool> released = false;
    const std::uint64_t stamp = os::process_stamp();
};

named_file::named_file(os::descriptor file, std::size_t size, std::string name, bool owns)
    : held_{std::make_shared<named_descriptor>(std::move(file), std::move(name), owns)}
{
    memory_ = os::map(held_->file, size, os::access::read_write);
    data_ = memory_.data();
    size_ = size;
    descriptor_ = {held_->file.get(), held_};
}

const std::string& named_file::name() const noexcept { return held_->name; }
bool named_file::owns() const noexcept { return held_->owns && !held_->released; }

void named_file::give_name(std::string name)
{
    bool chosen = !name.empty();
    for (int tries = 0; tries < max_tries; ++tries) {
        if (!chosen)
            name = random_name();
        tell_name_watch(name);
        if (os::give_name(held_->file, name)) {
            held_->name = std::move(name);
            return;
        }
        if (chosen)
            break;
    }
    os::fail(EEXIST, ("naming shared memory " + name).c_str());
}

void named_file::release()
{
    os::disown(held_->file);
    held_->released = true;
}

void named_file::take_over()
{
    if (owns())
        return;
    bool watched = held_->owns;
    if (!watched)
        begin_name_watch(name());
    held_->owns = true;
    if (!os::own(held_->file, name())) {
        if (!watched) {
            held_->owns = false;
            end_name_watch({});
        }
        os::fail(ENOENT, ("taking over shared memory " + name()).c_str());
    }
    held_->released = false;
}

} // namespace coproc::detail
