#include "pool/worker_link.hpp"

#include "os/calls.hpp"
#include "os/error.hpp"
#include "os/packet.hpp"
#include "pool/scheduler.hpp"
#include "pool/worker_setup.hpp"
#include "process/runtime.hpp"

#include <coproc/detail/entry.hpp>
#include <coproc/error.hpp>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>
#include <string_view>
#include <system_error>
#include <unistd.h>

namespace coproc::detail {
namespace {

std::shared_ptr<os::descriptor> share(os::descriptor d) { return std::make_shared<os::descriptor>(std::move(d)); }

// One for each chunk that the scheduler may have in flight here; see scheduler_options.
std::size_t slots_for(const pool_options& options)
{
    return std::bit_ceil(scheduler_options{}.max_in_flight + static_cast<std::size_t>(options.concurrency) + 4);
}

} // namespace

worker_link::worker_link(const os::watch_set& set, std::uint64_t id, std::string name, const pool_options& options, std::size_t place)
    : set_{set}, id_{id}, name_{std::move(name)}, method_{options.method.value_or(get_start_method())},
      page_{slots_for(options)}
{
    auto pipe = os::make_pipe();
    auto sockets = os::make_packet_pair();
    auto bell = os::make_event();
    auto attention = os::make_event();
    pipe.second.set_non_blocking(true);

    worker_setup setup;
    setup.doorbell = share(bell.duplicate());
    setup.attention = share(attention.duplicate());
    setup.concurrency = static_cast<std::uint32_t>(options.concurrency);
    setup.page = share(page_.file().duplicate());
    setup.tasks = share(std::move(pipe.first));
    setup.descriptors = share(std::move(sockets.second));
    setup.memory_limit = options.memory_limit;
    setup.cpu_seconds = static_cast<std::uint64_t>(std::max<std::int64_t>(options.cpu_limit.count(), 0));
    setup.open_files_limit = options.open_files_limit;
    setup.max_memory = options.max_memory_per_worker;
    setup.max_age = static_cast<std::uint64_t>(std::max<std::int64_t>(options.max_age.count(), 0));
    if (options.min_workers && place >= static_cast<std::size_t>(*options.min_workers))
        setup.idle_time = static_cast<std::uint64_t>(options.idle_time.count());
    setup.processor = options.pin_workers ? static_cast<std::int64_t>(place) : -1;
    setup.initializer = worker_hook{options.initializer};
    setup.finalizer = worker_hook{options.finalizer};

    buffer call;
    output_archive archive{call};
    encode_body_function<int (*)(worker_setup), worker_setup&>(archive, &worker_main);
    encode_arguments(archive, &worker_main, setup);

    process_options process;
    process.name = name_;
    process.method = method_;
    if (options.capture_stderr)
        process.standard_error = pipe_stream;
    std::array<os::descriptor, 3> streams;
    starting_.emplace(prepare(process, std::move(call), streams));
    page_.close_file();

    tasks_.emplace(std::move(pipe.second), std::move(sockets.first));
    doorbell_ = std::move(bell);
    attention_ = std::move(attention);
    if (streams[2])
        output_.emplace(set_, token_of(id_, wakeup::output), std::move(streams[2]));
    set_.add_readable(doorbell_.get(), token_of(id_, wakeup::doorbell));
    set_.add_writable(tasks_->number(), token_of(id_, wakeup::writable));
    watch_startup();
}

// The worker has copies of some of these, which would keep them in the set.
worker_link::~worker_link()
{
    for (int number : {doorbell_.get(), tasks_->number(), watched_control_, process_ ? process_->pidfd() : -1})
        set_.remove(number);
    starting_.reset();
    if (process_) {
        process_->kill_and_reap();
        pass_output_on();
        process_.reset();
        static_cast<void>(listed_children()); // forgets it
    }
}

// A startup that is tried again has a new socket.
void worker_link::watch_startup()
{
    int control = starting_ ? starting_->control() : -1;
    if (control == watched_control_)
        return;
    set_.remove(watched_control_);
    watched_control_ = control;
    if (control >= 0)
        set_.add_readable(control, token_of(id_, wakeup::startup));
}

void worker_link::advance_startup()
{
    if (!starting_)
        return;
    if (!starting_->advance())
        return watch_startup();
    int lifeline = starting_->lifeline();
    set_.remove(watched_control_);
    watched_control_ = -1;
    process_ = list_child(name_, method_, starting_->take_child(), lifeline);
    starting_.reset();
    set_.add_readable(process_->pidfd(), token_of(id_, wakeup::ended));
    if (condemned_)
        send_signal(SIGKILL);
}

std::uint64_t worker_link::send_task(buffer& message, std::size_t count, std::size_t first, std::shared_ptr<bulk_file>& keep, std::uint8_t flags)
{
    frame header;
    header.kind = frame_kind::task;
    header.flags = flags;
    header.number = ++tasks_sent_;
    header.count = static_cast<std::uint32_t>(count);
    header.time = first;
    page_.queue(header.number);
    keep = tasks_->queue_message(header, message);
    return header.number;
}

bool worker_link::request_stop(std::uint64_t number) noexcept
{
    if (!page_.request_stop(number))
        return false;
    os::ring(attention_.get());
    return true;
}

void worker_link::allow_items(std::uint64_t number, std::uint64_t items, std::uint64_t bytes) noexcept
{
    if (page_.allow_items(number, items, bytes))
        os::ring(attention_.get());
}

void worker_link::send_stop()
{
    tasks_->queue_word(frame_kind::stop);
    told_to_stop_ = true;
}

bool worker_link::read_results(const receiver& arrived)
{
    if (condemned_)
        return false;
    bool any = false;
    for (std::size_t total = 0;;) {
        auto space = reader_.space(64 * 1024);
        std::size_t count = page_.read(space);
        if (page_.room_was_awaited())
            os::ring(attention_.get());
        if (count == 0) {
            if (reader_.pending() != 0) // a worker lets only whole frames be seen: we would wait for the rest for ever
                throw protocol_error{"an answer is longer than what came of it"};
            return any;
        }
        any = true;
        reader_.put(count);
        while (auto item = reader_.next()) {
            std::vector<os::descriptor> received;
            while (received.size() < item->header.descriptors) {
                std::byte nothing[1];
                auto packet = os::receive_packet(tasks_->socket(), nothing, os::wait::no);
                if (packet.what != os::received::packet || packet.descriptors.empty())
                    throw protocol_error{"descriptors of a result are missing"};
                for (auto& d : packet.descriptors)
                    received.push_back(std::move(d));
            }
            std::vector<attachment> attachments;
            auto body = item->body;
            bulk_reference reference;
            std::size_t used = 0;
            bool bulk = (item->header.flags & frame::bulk) != 0;
            if (bulk) {
                std::memcpy(&reference, item->body.data(), sizeof reference);
                std::optional<os::descriptor> file;
                if (reference.is_new != 0 && !received.empty())
                    file = std::move(received[used++]);
                body = bulk_in_.open(reference, std::move(file));
            }
            for (; used < received.size(); ++used) {
                auto owner = share(std::move(received[used]));
                attachments.push_back({owner->get(), owner});
            }
            if (item->header.kind == frame_kind::forget)
                bulk_in_.forget(item->header.number);
            else
                arrived(item->header, body, attachments);
            if (item->header.kind == frame_kind::item) {
                if (bulk && page_.items_were_read(item->header.number, item->header.time + 1)) // the pipe is for tasks that can begin
                    os::ring(attention_.get());
            } else if (bulk)
                tasks_->queue_word(frame_kind::release, reference.file);
        }
        if ((total += count) > 4 * ring_size) { // the others' turn; the rest is reported again
            ring(doorbell_);
            return true;
        }
    }
}

void worker_link::pass_output_on()
{
    if (output_)
        output_->pass_on();
}

std::optional<exit_status> worker_link::poll_end() { return process_ ? process_->poll() : std::nullopt; }

void worker_link::send_signal(int number)
{
    try {
        if (process_)
            process_->send_signal(number);
    } catch (const std::system_error&) { // it has made itself somebody else's; its parent's death will end it
    }
}

void worker_link::condemn()
{
    condemned_ = true;
    send_signal(SIGKILL);
}

void worker_link::kill()
{
    set_.remove(watched_control_);
    watched_control_ = -1;
    starting_.reset();
    send_signal(SIGKILL);
}

} // namespace coproc::detail
