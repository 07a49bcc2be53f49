// A worker: reads tasks from a pipe, runs them, leaves the results in the ring.
//
// It blocks in read while it has nothing to do, and runs plain functions one after the other: no event loop is in their
// way. While coroutines run (worker_coroutines.hpp), it turns their loop, reads only what is there, and begins tasks as long
// as there is room for one more coroutine; what comes then stays in the pipe, unclaimed.
#include "os/calls.hpp"
#include "os/limits.hpp"
#include "pool/running_task.hpp"
#include "pool/task_reports.hpp"
#include "pool/worker_channel.hpp"
#include "pool/worker_coroutines.hpp"
#include "pool/worker_page.hpp"
#include "pool/worker_setup.hpp"
#include "wire/exception.hpp"
#include "wire/frame.hpp"
#include "wire/trace.hpp"

#include <coproc/error.hpp>
#include <coproc/run.hpp>

#include <algorithm>
#include <chrono>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <optional>
#include <poll.h>
#include <random>
#include <unistd.h>
#include <utility>

namespace coproc::detail {
namespace {

class worker {
public:
    explicit worker(worker_setup& setup) : setup_{setup}, channel_{setup} {}
    ~worker() { coroutines_->give_up(); }
    worker(const worker&) = delete;
    worker& operator=(const worker&) = delete;

    int run()
    {
        os::limit_resources(setup_.memory_limit, std::chrono::seconds{setup_.cpu_seconds}, setup_.open_files_limit);
        if (setup_.processor >= 0)
            os::pin_to_processor(static_cast<std::size_t>(setup_.processor));
        std::srand(std::random_device{}());
        if (!run_hook(setup_.initializer, 0))
            return 1;
        while (!idle_for_too_long()) {
            if (!read())
                return 1; // the pool is gone, or the task that ran last has closed our descriptors
            last_end_ = 0;
            for (;;) {
                bool more = begin_tasks();
                if (pool_is_gone_)
                    return 1;
                if (coroutines_->none()) {
                    if (told_to_stop_)
                        return run_hook(setup_.finalizer, 1) ? 0 : 1;
                    if (!more)
                        break;
                } else
                    coroutines_->run(!more);
            }
            channel_.rest();
        }
        return leave();
    }

private:
    bool idle_for_too_long() const
    {
        if (setup_.idle_time == 0)
            return false;
        pollfd pipe{setup_.tasks->get(), POLLIN, 0};
        return os::poll(&pipe, 1, static_cast<int>(std::min<std::uint64_t>((setup_.idle_time + 999'999) / 1'000'000, INT_MAX))) == 0;
    }

    // What the pool may have sent by now was not claimed, and it takes that back.
    int leave()
    {
        frame header;
        header.kind = frame_kind::leaving;
        out_.clear();
        channel_.send(header, out_);
        channel_.rest();
        return run_hook(setup_.finalizer, 1) ? 0 : 1;
    }

    bool read()
    {
        auto space = reader_.space(64 * 1024);
        ssize_t size = os::read(setup_.tasks->get(), space.data(), space.size());
        if (size > 0)
            reader_.put(static_cast<std::size_t>(size));
        return size > 0;
    }

    // False: it takes a frame that is not here yet, or the end of a coroutine, to go on. True: it's the coroutines' turn.
    bool begin_tasks()
    {
        while (!told_to_stop_ && coroutines_->has_room()) {
            auto item = reader_.next();
            if (!item) {
                if (coroutines_->none() || !coroutines_->readable())
                    return false;
                pool_is_gone_ = !read();
                if (pool_is_gone_)
                    return false;
                continue;
            }
            switch (item->header.kind) {
            case frame_kind::task:
                if (run_task(*item) && !coroutines_->none())
                    return true;
                break;
            case frame_kind::stop: told_to_stop_ = true; break;
            default: channel_.note(*item);
            }
        }
        return false;
    }

    // True if it has ended; false if it is a coroutine, which has begun, or was withdrawn.
    bool run_task(const frame_reader::item& item)
    {
        std::vector<attachment> attachments;
        auto number = item.header.number;
        auto& page = channel_.page();
        // Claimed first: a message that this process can't take costs the task, and is not tried on other workers.
        // A task that follows another one begins when that one ended.
        claimed_task task{item.header, last_end_ != 0 && coroutines_->none() ? last_end_ : now()};
        if ((item.header.flags & frame::measured) != 0)
            task.meter.emplace();
        bool claimed = !channel_.retired() && page.claim(number, task.begin); // else the pool takes it back
        auto body = channel_.open(item, attachments); // in any case: what came with it must not stay in the socket
        if (!claimed)
            return false;
        input_archive in{body.data(), body.size(), &attachments};
        out_.clear();
        output_archive out{out_};
        auto* call = new (page.call_place(number)) invocation{in, out};
        call->count = item.header.count;
        call->word = &page.word(number);
        call->stop_word = worker_page::stop_word(number);
        task.call = call;
        std::optional<worker_reports> reports;
        try {
            trace_scope traced;
            if ((item.header.flags & frame::apart) != 0)
                task.function = channel_.function(in);
            task.what = task.function ? &task.function->what() : &decode_entry(in);
            call->function = task.function.get();
            if (!task.what->plain) {
                coroutines_->begin(task, in, std::move(attachments), body, (item.header.flags & frame::bulk) != 0);
                return false;
            }
            running_task running{*call->word, call->stop_word};
            reports.emplace(channel_, task);
            task.what->plain(*call);
        } catch (...) {
            channel_.fail(task, out_, std::current_exception(), call->done);
        }
        if (reports)
            reports->flush();
        last_end_ = channel_.answer(task, out_);
        return true;
    }

    // True if there was none or it went well; else the pool is told.
    bool run_hook(worker_hook& hook, std::uint64_t which)
    {
        auto [bytes, attachments] = std::exchange(hook, {}); // what it does not take is closed
        if (bytes.empty())
            return true;
        frame header;
        header.kind = frame_kind::broken;
        header.number = which;
        out_.clear();
        output_archive out{out_};
        try {
            input_archive in{bytes.data(), bytes.size(), &attachments};
            const entry& entry = decode_entry(in);
            invocation call{in, out};
            if (entry.plain)
                entry.plain(call);
            else
                run_until_done(entry.coroutine(call));
            return true;
        } catch (...) {
            out_.clear();
            encode_exception(out, std::current_exception(), which == 0 ? "the pool's initializer" : "the pool's finalizer", 0);
        }
        flush_output();
        channel_.send(header, out_);
        channel_.rest();
        return false;
    }

    worker_setup& setup_;
    worker_channel channel_;
    std::shared_ptr<worker_coroutines> coroutines_ = std::make_shared<worker_coroutines>(setup_, channel_);
    frame_reader reader_;
    buffer out_ = make_message();
    std::uint64_t last_end_ = 0;
    bool told_to_stop_ = false, pool_is_gone_ = false;
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
    for (auto& d : {tasks, descriptors, doorbell, page, attention})
        archive.attach(attach(d));
    archive(initializer, finalizer, concurrency, memory_limit, cpu_seconds, open_files_limit, max_memory, max_age, idle_time, processor);
}

void worker_setup::load(input_archive& archive)
{
    for (auto* d : {&tasks, &descriptors, &doorbell, &page, &attention})
        *d = take(archive);
    archive(initializer, finalizer, concurrency, memory_limit, cpu_seconds, open_files_limit, max_memory, max_age, idle_time, processor);
}

worker_hook::worker_hook(const remote_call& call)
{
    if (!call)
        return;
    auto& encoded = call.encoded();
    bytes.assign(encoded.data(), encoded.data() + encoded.size());
    attachments = encoded.attachments();
}

void worker_hook::save(output_archive& archive) const
{
    archive(bytes, static_cast<std::uint32_t>(attachments.size()));
    for (auto& a : attachments)
        archive.attach(a);
}

void worker_hook::load(input_archive& archive)
{
    std::uint32_t count = 0;
    archive(bytes, count);
    for (attachments.clear(); count != 0; --count)
        attachments.push_back(archive.take_attachment());
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
