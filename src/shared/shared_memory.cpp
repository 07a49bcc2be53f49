#include <coproc/shared_memory.hpp>

#include "os/calls.hpp"
#include "os/descriptor.hpp"
#include "os/error.hpp"
#include "os/memory_file.hpp"
#include "os/named_memory.hpp"
#include "shared/named_file.hpp"

#include <coproc/detail/large_buffer.hpp>
#include <coproc/error.hpp>

#include <cstdint>
#include <utility>

namespace coproc {
namespace {

enum class memory_kind : std::uint8_t { empty, anonymous, named };

void check_name(const std::string& name)
{
    if (!os::is_memory_name(name))
        throw usage_error{"a name of shared memory is 1 to 255 bytes, without '/' and zero bytes"};
}

} // namespace

shared_memory::shared_memory(std::size_t size)
{
    if (size != 0)
        file_ = detail::make_shared_file("coproc memory", size, size >= detail::large_buffer);
}

shared_memory shared_memory::make_nameless(std::size_t size)
{
    if (size == 0)
        throw usage_error{"shared memory with a name needs a size of at least one byte"};
    shared_memory made;
    made.named_ = std::make_shared<detail::named_file>(os::make_nameless_memory(size), size, std::string{}, true);
    made.file_ = made.named_;
    return made;
}

void shared_memory::give_name(const std::string& name)
{
    if (!name.empty())
        check_name(name);
    named_->give_name(name);
}

shared_memory shared_memory::create(const std::string& name, std::size_t size)
{
    return create(name, size, [](std::span<std::byte>) {});
}

shared_memory shared_memory::open(const std::string& name, std::size_t least)
{
    check_name(name);
    auto file = os::open_named_memory(name);
    auto size = os::size_of(file);
    if (size < least || size == 0)
        throw type_error{"shared memory " + name + " has " + std::to_string(size) + " bytes, fewer than expected"};
    shared_memory opened;
    opened.named_ = std::make_shared<detail::named_file>(std::move(file), size, name, false);
    opened.file_ = opened.named_;
    return opened;
}

bool shared_memory::remove(const std::string& name)
{
    check_name(name);
    return os::remove_name(name);
}

std::string shared_memory::name() const { return named_ ? named_->name() : std::string{}; }
bool shared_memory::owns() const noexcept { return named_ && named_->owns(); }

void shared_memory::release()
{
    if (!named_)
        throw usage_error{"only shared memory with a name can be released"};
    named_->release();
}

void shared_memory::take_over()
{
    if (!named_)
        throw usage_error{"only shared memory with a name can be taken over"};
    named_->take_over();
}

void shared_memory::save(output_archive& archive) const
{
    if (!named_) {
        archive(file_ ? memory_kind::anonymous : memory_kind::empty);
        if (file_)
            detail::save_file(archive, file_);
        return;
    }
    if (!named_->is_ours())
        throw usage_error{"a handle that was inherited by fork can be used, but not sent: let the parent send it as an argument"};
    archive(memory_kind::named, named_->name(), named_->owns(), static_cast<std::uint64_t>(size()));
    archive.attach(named_->descriptor());
}

void shared_memory::load(input_archive& archive)
{
    *this = {};
    memory_kind kind{};
    archive(kind);
    if (kind == memory_kind::empty)
        return;
    if (kind == memory_kind::anonymous) {
        file_ = detail::load_file(archive, 1);
        return;
    }
    std::string name;
    bool owns = false;
    std::uint64_t size = 0;
    archive(name, owns, size);
    auto sent = archive.take_attachment();
    auto [id, actual, may_shrink] = os::facts_of(sent.descriptor);
    if (kind != memory_kind::named || !os::is_memory_name(name) || size == 0 || actual < size)
        throw protocol_error{"shared memory that was sent is not what the message says of it"};
    int number = os::duplicate(sent.descriptor);
    if (number < 0)
        os::fail("receiving shared memory");
    os::descriptor file{number};
    sent = {};
    named_ = std::make_shared<detail::named_file>(std::move(file), static_cast<std::size_t>(size), std::move(name), owns);
    file_ = named_;
}

} // namespace coproc
