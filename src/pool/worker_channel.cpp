#include "pool/worker_channel.hpp"

#include "os/limits.hpp"

#include "os/packet.hpp"
#include "wire/exception.hpp"

#include <coproc/error.hpp>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <ext/stdio_sync_filebuf.h>
#include <iostream>
#include <optional>
#include <stdio_ext.h>
#include <system_error>
#include <typeinfo>

namespace coproc::detail {
namespace {

constexpr std::uint64_t patience = 50'000; // ns: about what it costs to wake the pool

} // namespace

std::uint64_t now()
{
    timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(t.tv_nsec);
}

// Nothing was written, most of the time, and then asking costs less than flushing.
void flush_output()
{
    auto* buffer = std::cout.rdbuf();
    bool is_stdout = buffer && typeid(*buffer) == typeid(__gnu_cxx::stdio_sync_filebuf<char>);
    if (!is_stdout)
        std::cout.flush();
    if (::__fpending(stdout) != 0)
        std::fflush(stdout);
}

void worker_channel::ring_if(bool reason)
{
    if (!reason)
        return;
    ring(*setup_.doorbell);
    unrung_ = false;
    last_ring_ = now();
}

std::span<const std::byte> worker_channel::open(const frame_reader::item& item, std::vector<attachment>& attachments)
{
    std::vector<os::descriptor> received;
    while (received.size() < item.header.descriptors) {
        std::byte nothing[1];
        auto packet = os::receive_packet(setup_.descriptors->get(), nothing, os::wait::yes);
        if (packet.what != os::received::packet || packet.descriptors.empty())
            throw protocol_error{"descriptors of a task are missing"};
        for (auto& d : packet.descriptors)
            received.push_back(std::move(d));
    }
    unrung_ = unrung_ || !received.empty(); // the pool may wait for room in the socket
    auto body = item.body;
    std::size_t used = 0;
    if ((item.header.flags & frame::bulk) != 0) {
        bulk_reference reference;
        std::memcpy(&reference, item.body.data(), sizeof reference);
        std::optional<os::descriptor> file;
        if (reference.is_new != 0 && !received.empty())
            file = std::move(received[used++]);
        body = bulk_in_.open(reference, std::move(file));
    }
    for (; used < received.size(); ++used) {
        auto owner = std::make_shared<os::descriptor>(std::move(received[used]));
        attachments.push_back({owner->get(), owner});
    }
    return body;
}

void worker_channel::note(const frame_reader::item& item)
{
    auto& header = item.header;
    switch (header.kind) {
    case frame_kind::function: functions_.insert_or_assign(header.number, receive_function(item)); return;
    case frame_kind::drop: functions_.erase(header.number); return;
    case frame_kind::release: lent_.erase(header.number); return;
    case frame_kind::forget: bulk_in_.forget(header.number); return;
    default: throw protocol_error{"a worker got a frame that only workers send"};
    }
}

// What goes wrong is the error of the tasks that call it.
worker_channel::arrived_function worker_channel::receive_function(const frame_reader::item& item)
{
    try {
        std::vector<attachment> attachments;
        auto body = open(item, attachments);
        std::shared_ptr<const void> owner;
        if ((item.header.flags & frame::bulk) != 0) {
            bulk_reference reference;
            std::memcpy(&reference, item.body.data(), sizeof reference);
            owner = bulk_in_.keep(reference.file);
        } else {
            auto copy = std::make_shared<std::vector<std::byte>>(body.begin(), body.end());
            body = *copy;
            owner = std::move(copy);
        }
        return {std::make_shared<kept_function>(body, std::move(attachments), std::move(owner)), nullptr};
    } catch (...) {
        return {nullptr, std::current_exception()};
    }
}

std::shared_ptr<kept_function> worker_channel::function(input_archive& in) const
{
    std::uint64_t number = 0;
    in.load_binary(&number, sizeof number);
    auto found = functions_.find(number);
    if (found == functions_.end())
        throw protocol_error{"a task calls a function that was not sent"};
    if (found->second.failure)
        std::rethrow_exception(found->second.failure);
    return found->second.there;
}

void worker_channel::fail(claimed_task& task, buffer& body, const std::exception_ptr& why, std::size_t at)
{
    task.failed_at = at;
    body.clear();
    output_archive out{body};
    encode_exception(out, why, task.what ? task_name(*task.what, *task.call).c_str() : "", task.header.time + at);
}

std::uint64_t worker_channel::answer(claimed_task& task, buffer& body)
{
    std::uint64_t end = now();
    flush_output();
    if (task.meter)
        send_usage(task, end);
    retired_ = retired_ || worn_out(end);
    auto write = [&] {
        frame header;
        header.flags = retired_ ? frame::retires : std::uint8_t{0};
        header.number = task.header.number;
        header.kind = task.failed_at ? frame_kind::failure : frame_kind::result;
        header.count = static_cast<std::uint32_t>(task.failed_at.value_or(task.call->done));
        header.time = end - task.begin;
        send(header, body);
    };
    try {
        write();
    } catch (const std::system_error&) { // no descriptor or memory for a large result: that is this task's error
        body = make_message();
        fail(task, body, std::current_exception(), 0);
        write();
    }
    ring_if(end - last_ring_ > patience || page_.half_full());
    return end;
}

void worker_channel::send_usage(const claimed_task& task, std::uint64_t end)
{
    auto used = task.meter->read();
    used.wall_time = std::chrono::nanoseconds{end - task.begin};
    frame header;
    header.kind = frame_kind::usage;
    header.number = task.header.number;
    header.size = sizeof used;
    page_.write(std::as_bytes(std::span{&header, 1}), std::as_bytes(std::span{&used, 1}), *setup_.doorbell);
}

bool worker_channel::worn_out(std::uint64_t at) const noexcept
{
    return (setup_.max_memory != 0 && os::resident_memory() > setup_.max_memory) || (setup_.max_age != 0 && at - born_ > setup_.max_age);
}

std::shared_ptr<bulk_file> worker_channel::send_item(const claimed_task& task, std::uint64_t before, buffer& body)
{
    flush_output();
    frame header;
    header.kind = frame_kind::item;
    header.number = task.header.number;
    header.time = before;
    auto file = put(header, body);
    body.clear();
    // One in a file is always told of: the pool must take its descriptor out of the socket.
    ring_if(file || now() - last_ring_ > patience || page_.half_full());
    return file;
}

void worker_channel::send_report(const claimed_task& task, double fraction, std::string_view text, bool at_once)
{
    buffer body;
    output_archive out{body};
    save_value(out, fraction, at_once, std::string{text});
    frame header;
    header.kind = frame_kind::report;
    header.number = task.header.number;
    header.count = static_cast<std::uint32_t>(task.call->done);
    flush_output();
    send(header, body);
    ring_if(true);
}

void worker_channel::send(frame header, buffer& body)
{
    if (auto file = put(header, body))
        lent_.insert_or_assign(file->id, std::move(file));
}

std::shared_ptr<bulk_file> worker_channel::put(frame header, buffer& body)
{
    auto& attachments = body.attachments();
    std::vector<int> descriptors;
    bulk_sender::reference reference;
    std::span<const std::byte> bytes{body.data(), body.size()};
    if (body.size() > max_body) {
        reference = bulk_out_.place(body);
        header.flags |= frame::bulk;
        bytes = std::as_bytes(std::span{&reference.what, 1});
        if (reference.file)
            descriptors.push_back(reference.file.get());
    }
    for (auto& attachment : attachments)
        descriptors.push_back(attachment.descriptor);
    header.descriptors = static_cast<std::uint16_t>(descriptors.size());
    header.size = static_cast<std::uint32_t>(bytes.size());
    send_descriptors(descriptors);
    page_.write(std::as_bytes(std::span{&header, 1}), bytes, *setup_.doorbell);
    if ((header.flags & frame::bulk) != 0) {
        body = make_message(); // the file is the pool's until it says release
        for (auto file : bulk_out_.gone()) {
            frame forget;
            forget.kind = frame_kind::forget;
            forget.number = file;
            page_.write(std::as_bytes(std::span{&forget, 1}), {}, *setup_.doorbell);
        }
    }
    unrung_ = true;
    return std::move(reference.keep);
}

void worker_channel::send_descriptors(std::span<const int> descriptors)
{
    constexpr std::byte nothing[1]{};
    while (!descriptors.empty()) {
        auto now = descriptors.first(std::min(descriptors.size(), os::max_descriptors));
        if (!os::send_packet_blocking(setup_.descriptors->get(), nothing, now))
            throw protocol_error{"the pool is gone"};
        descriptors = descriptors.subspan(now.size());
    }
}

} // namespace coproc::detail
