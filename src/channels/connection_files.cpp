#include "channels/connection_files.hpp"

#include "os/ancillary.hpp"
#include "os/calls.hpp"

#include <coproc/error.hpp>

#include <algorithm>
#include <array>
#include <iterator>
#include <memory>
#include <sys/socket.h>
#include <utility>

namespace coproc::detail {
namespace {

// The message's descriptor stays its own, whoever else keeps the message.
os::descriptor copy_of(attachment arrived) { return os::adopt(os::duplicate(arrived.descriptor), "receiving a connection"); }

void give(output_archive& archive, os::descriptor& file)
{
    archive(static_cast<bool>(file));
    if (!file)
        return;
    auto owner = std::make_shared<os::descriptor>(std::move(file));
    archive.attach({owner->get(), owner, true});
}

os::descriptor taken_from(input_archive& archive)
{
    bool there = false;
    archive(there);
    return there ? copy_of(archive.take_attachment()) : os::descriptor{};
}

} // namespace

os::received_bytes connection_files::receive(std::span<std::byte> to) const
{
    return pipes_ ? os::read_some(in_.get(), to) : os::receive_some(socket_.get(), to);
}

// Each batch is one byte with as many as the system passes on at a time.
os::received_bytes connection_files::receive_descriptors(std::size_t count) const
{
    os::received_bytes all;
    for (std::size_t got = 0; got < count; got += os::max_descriptors) {
        std::byte one{};
        auto batch = os::receive_some(socket_.get(), {&one, 1});
        if (batch.what != os::progress::some)
            throw protocol_error{"a message came without the descriptors that belong to it"};
        std::ranges::move(batch.descriptors, std::back_inserter(all.descriptors));
        all.descriptors_lost |= batch.descriptors_lost;
    }
    return all;
}

os::sent_bytes connection_files::send(std::span<const std::byte> bytes, std::span<const int> descriptors) const
{
    return pipes_ ? os::write_some(out_.get(), bytes) : os::send_some(socket_.get(), bytes, descriptors);
}

os::sent_bytes connection_files::send_descriptors(std::span<const int> descriptors) const
{
    static constexpr std::byte one{};
    return os::send_some(socket_.get(), {&one, 1}, descriptors);
}

void connection_files::shut_down() const noexcept
{
    if (socket_)
        ::shutdown(socket_.get(), SHUT_RDWR);
}

void connection_files::close() noexcept
{
    in_.reset();
    out_.reset();
    socket_.reset();
}

void connection_files::save(output_archive& archive)
{
    archive(pipes_);
    for (auto* file : {&in_, &out_, &socket_})
        give(archive, *file);
}

connection_files connection_files::load(input_archive& archive)
{
    bool pipes = false;
    archive(pipes);
    std::array<os::descriptor, 3> files;
    for (auto& file : files)
        file = taken_from(archive);
    auto& [in, out, socket] = files;
    if (!socket || (pipes && !in && !out))
        throw protocol_error{"a connection came without its descriptors"};
    if (pipes)
        return {std::move(in), std::move(out), std::move(socket)};
    return connection_files{std::move(socket)};
}

} // namespace coproc::detail
