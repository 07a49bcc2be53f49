// A worker: reads tasks from a pipe, runs them one after the other, leaves the results in the ring.
//
// The loop blocks in read while it has nothing to do; no event loop is in the way of plain functions. When is the doorbell
// rung, so that the pool looks into the ring?
//   - before the worker blocks, for it is idle then;
//   - after a task, if the last ring was more than `patience` ago;
//   - when the ring is half full.
// In between, results of short tasks gather, so that a thousand of them cost one system call. (A short task's result that
// waits while a long task runs is found by the pool itself, which looks after 2 ms of silence.)
#include "os/calls.hpp"
#include "os/packet.hpp"
#include "pool/running_task.hpp"
#include "pool/worker_page.hpp"
#include "pool/worker_setup.hpp"
#include "process/loop.hpp"
#include "wire/bulk.hpp"
#include "wire/exception.hpp"
#include "wire/frame.hpp"
#include "wire/trace.hpp"

#include <coproc/error.hpp>
#include <coproc/run.hpp>

#include <cstdio>
#include <cstring>
#include <ctime>
#include <deque>
#include <exception>
#include <iostream>
#include <new>
#include <unistd.h>
#include <unordered_map>

namespace coproc::detail {
namespace {

constexpr std::uint64_t patience = 50'000; // ns: about what it costs to wake the pool

std::uint64_t now()
{
    timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(t.tv_nsec);
}

// What the user's code wrote is out before its result is, so that it is there when the pool's caller goes on.
void flush_output()
{
    std::cout.flush();
    std::fflush(stdout);
}

void run_entry(const entry& entry, invocation& call)
{
    if (entry.plain)
        entry.plain(call);
    else
        run_until_done(entry.coroutine(call));
}

class worker {
public:
    explicit worker(worker_setup& setup) : setup_{setup}, page_{*setup.page} { setup.page->reset(); }

    int run()
    {
        if (!run_hook(setup_.initializer, 0))
            return 1;
        last_ring_ = now();
        for (;;) {
            auto space = reader_.space(64 * 1024);
            ssize_t size = os::read(setup_.tasks->get(), space.data(), space.size());
            if (size <= 0)
                return 1; // the pool is gone, or the task that ran last has closed our descriptors
            reader_.put(static_cast<std::size_t>(size));
            last_end_ = 0;
            while (auto item = reader_.next()) {
                switch (item->header.kind) {
                case frame_kind::task: run_task(*item); break;
                case frame_kind::release: lent_.erase(item->header.number); break;
                case frame_kind::forget: bulk_in_.forget(item->header.number); break;
                case frame_kind::stop: return run_hook(setup_.finalizer, 1) ? 0 : 1;
                default: throw protocol_error{"a worker got a frame that only workers send"};
                }
            }
            ring_if(unrung_);
        }
    }

private:
    void ring_if(bool reason)
    {
        if (!reason)
            return;
        ring(*setup_.doorbell);
        unrung_ = false;
        last_ring_ = now();
    }

    // The body of a frame, from wherever it is, and what descriptors came with it.
    std::span<const std::byte> open(const frame_reader::item& item, std::vector<attachment>& attachments)
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

    void run_task(const frame_reader::item& item)
    {
        std::vector<attachment> attachments;
        auto number = item.header.number;
        // Claimed first: a message that this process can't take costs the task, and is not tried on other workers.
        // A task that follows another one begins when that one ended.
        std::uint64_t begin = last_end_ != 0 ? last_end_ : now();
        bool claimed = page_.claim(number, begin);
        auto body = open(item, attachments); // in any case: what came with it must not stay in the socket
        if (!claimed)
            return;
        input_archive in{body.data(), body.size(), &attachments};
        out_.clear();
        output_archive out{out_};
        auto* call = new (page_.call_place()) invocation{in, out};
        call->count = item.header.count;
        call->word = &page_.word(number);
        call->stop_word = worker_page::stop_word(number);
        running_task running{*call->word, call->stop_word};
        const entry* entry = nullptr;
        frame header;
        header.number = number;
        try {
            trace_scope traced;
            entry = &decode_entry(in);
            run_entry(*entry, *call);
            header.kind = frame_kind::result;
            header.count = static_cast<std::uint32_t>(call->done);
        } catch (...) {
            std::string name = entry ? task_name(*entry, *call) : std::string{};
            out_.clear();
            encode_exception(out, std::current_exception(), name.c_str(), item.header.time + call->done);
            header.kind = frame_kind::failure;
            header.count = static_cast<std::uint32_t>(call->done);
        }
        std::uint64_t end = last_end_ = now();
        header.time = end - begin;
        flush_output();
        try {
            send(header, out_);
        } catch (const std::system_error&) { // no descriptor or memory for a large result: that is this task's error
            out_ = make_message();
            output_archive instead{out_};
            encode_exception(instead, std::current_exception(), entry ? task_name(*entry, *call).c_str() : "", item.header.time);
            header.kind = frame_kind::failure;
            header.flags = 0;
            header.count = 0;
            send(header, out_);
        }
        ring_if(end - last_ring_ > patience || page_.half_full());
    }

    void send(frame header, buffer& body)
    {
        auto& attachments = body.attachments();
        std::vector<int> descriptors;
        bulk_sender::reference reference;
        std::span<const std::byte> bytes{body.data(), body.size()};
        if (body.size() > max_body) {
            reference = bulk_out_.place(body);
            header.flags = frame::bulk;
            bytes = std::as_bytes(std::span{&reference.what, 1});
            if (reference.file)
                descriptors.push_back(reference.file.get());
            lent_.insert_or_assign(reference.what.file, std::move(reference.keep));
        }
        for (auto& attachment : attachments)
            descriptors.push_back(attachment.descriptor);
        header.descriptors = static_cast<std::uint16_t>(descriptors.size());
        header.size = static_cast<std::uint32_t>(bytes.size());
        send_descriptors(descriptors);
        page_.write(std::as_bytes(std::span{&header, 1}), bytes, *setup_.doorbell);
        if (header.flags != 0) {
            body = make_message(); // the file is the pool's until it says release
            for (auto file : bulk_out_.gone()) {
                frame forget;
                forget.kind = frame_kind::forget;
                forget.number = file;
                page_.write(std::as_bytes(std::span{&forget, 1}), {}, *setup_.doorbell);
            }
        }
        unrung_ = true;
    }

    void send_descriptors(std::span<const int> descriptors)
    {
        constexpr std::byte nothing[1]{};
        while (!descriptors.empty()) {
            auto now = descriptors.first(std::min(descriptors.size(), os::max_descriptors));
            if (!os::send_packet_blocking(setup_.descriptors->get(), nothing, now))
                throw protocol_error{"the pool is gone"};
            descriptors = descriptors.subspan(now.size());
        }
    }

    // True if there was none or it went well; else the pool is told.
    bool run_hook(const std::vector<std::byte>& encoded, std::uint64_t which)
    {
        if (encoded.empty())
            return true;
        frame header;
        header.kind = frame_kind::broken;
        header.number = which;
        out_.clear();
        output_archive out{out_};
        try {
            input_archive in{encoded.data(), encoded.size()};
            const entry& entry = decode_entry(in);
            invocation call{in, out};
            run_entry(entry, call);
            return true;
        } catch (...) {
            out_.clear();
            encode_exception(out, std::current_exception(), which == 0 ? "the pool's initializer" : "the pool's finalizer", 0);
        }
        flush_output();
        send(header, out_);
        ring_if(true);
        return false;
    }

    worker_setup& setup_;
    worker_page page_;
    frame_reader reader_;
    bulk_receiver bulk_in_;
    bulk_sender bulk_out_;
    std::unordered_map<std::uint64_t, std::shared_ptr<bulk_file>> lent_;
    buffer out_ = make_message();
    std::uint64_t last_ring_ = 0, last_end_ = 0;
    bool unrung_ = false;
};

attachment attach(const std::shared_ptr<os::descriptor>& d) { return {d->get(), d}; }

std::shared_ptr<os::descriptor> take(input_archive& archive)
{
    auto attachment = archive.take_attachment();
    return std::const_pointer_cast<os::descriptor>(std::static_pointer_cast<const os::descriptor>(attachment.keep));
}

} // namespace

void worker_setup::save(output_archive& archive) const
{
    for (auto& d : {tasks, descriptors, doorbell, page})
        archive.attach(attach(d));
    archive(initializer, finalizer);
}

void worker_setup::load(input_archive& archive)
{
    for (auto* d : {&tasks, &descriptors, &doorbell, &page})
        *d = take(archive);
    archive(initializer, finalizer);
}

std::vector<std::byte> encoded_bytes(const remote_call& call)
{
    if (!call)
        return {};
    return {call.encoded().data(), call.encoded().data() + call.encoded().size()};
}

int worker_main(worker_setup setup)
{
    try {
        return worker{setup}.run();
    } catch (const protocol_error& e) {
        std::fprintf(stderr, "coproc: worker %d: %s\n", ::getpid(), e.what());
        return 1;
    }
}

} // namespace coproc::detail
