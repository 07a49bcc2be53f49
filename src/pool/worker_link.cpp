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

constexpr std::size_t kept_output = 4096; // bytes: some ten lines, and a stack

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
    setup.initializer = encoded_bytes(options.initializer);
    setup.finalizer = encoded_bytes(options.finalizer);

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

    tasks_ = std::move(pipe.second);
    doorbell_ = std::move(bell);
    attention_ = std::move(attention);
    socket_ = std::move(sockets.first);
    output_ = std::move(streams[2]);
    if (output_)
        set_.add_readable(output_.get(), token_of(id_, wakeup::output));
    set_.add_readable(doorbell_.get(), token_of(id_, wakeup::doorbell));
    set_.add_writable(tasks_.get(), token_of(id_, wakeup::writable));
    watch_startup();
}

// The worker has copies of some of these, which would keep them in the set.
worker_link::~worker_link()
{
    for (int number : {doorbell_.get(), tasks_.get(), watched_control_, output_.get(), process_ ? process_->pidfd() : -1})
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
    keep = queue_message(header, message);
    return header.number;
}

void worker_link::send_function(std::uint64_t number, buffer& function)
{
    if (functions_.contains(number))
        return;
    frame header;
    header.kind = frame_kind::function;
    header.number = number;
    auto file = queue_message(header, function); // which the buffer has as well
    functions_.emplace(number, file ? file->id : 0);
}

bool worker_link::drop_function(std::uint64_t number)
{
    auto found = functions_.find(number);
    if (found == functions_.end())
        return false;
    frame header;
    header.kind = frame_kind::drop;
    header.number = number;
    queue_frame(header, {});
    if (found->second != 0) {
        header.kind = frame_kind::forget;
        header.number = found->second;
        queue_frame(header, {});
        bulk_out_.forget(found->second);
    }
    functions_.erase(found);
    return true;
}

// Returns the memory file that the message is in, if it is.
std::shared_ptr<bulk_file> worker_link::queue_message(frame header, buffer& message)
{
    if (message.size() <= max_body && message.attachments().empty()) {
        header.size = static_cast<std::uint32_t>(message.size());
        queue_frame(header, {message.data(), message.size()});
        return nullptr;
    }
    gift with;
    with.attachments = message.attachments();
    std::size_t descriptors = with.attachments.size();
    std::span<const std::byte> body{message.data(), message.size()};
    bulk_sender::reference reference;
    bool bulk = message.size() > max_body;
    if (bulk) {
        reference = bulk_out_.place(message);
        with.file = std::move(reference.file);
        descriptors += with.file ? 1 : 0;
        header.flags |= frame::bulk;
        body = std::as_bytes(std::span{&reference.what, 1});
    }
    if (descriptors > UINT16_MAX)
        throw usage_error{"a task carries more than 65535 descriptors"};
    header.descriptors = static_cast<std::uint16_t>(descriptors);
    header.size = static_cast<std::uint32_t>(body.size());
    if (descriptors > 0) {
        with.position = position_ + out_.size();
        gifts_.push_back(std::move(with));
    }
    queue_frame(header, body);
    if (bulk)
        for (auto file : bulk_out_.gone()) {
            frame forget;
            forget.kind = frame_kind::forget;
            forget.number = file;
            queue_frame(forget, {});
        }
    return std::move(reference.keep);
}

void worker_link::queue_frame(const frame& header, std::span<const std::byte> body)
{
    auto bytes = std::as_bytes(std::span{&header, 1});
    out_.insert(out_.end(), bytes.begin(), bytes.end());
    out_.insert(out_.end(), body.begin(), body.end());
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
    frame stop;
    stop.kind = frame_kind::stop;
    queue_frame(stop, {});
    told_to_stop_ = true;
}

bool worker_link::send_gift(gift& what)
{
    std::vector<int> numbers;
    if (what.file)
        numbers.push_back(what.file.get());
    for (auto& attachment : what.attachments)
        numbers.push_back(attachment.descriptor);
    constexpr std::byte nothing[1]{};
    for (std::span<const int> all{numbers}; what.sent < all.size();) {
        auto now = all.subspan(what.sent, std::min(all.size() - what.sent, os::max_descriptors));
        switch (os::send_packet(socket_.get(), nothing, now)) {
        case os::sent::yes: what.sent += now.size(); break;
        case os::sent::nobody_listens: return true; // its end will be noticed
        case os::sent::would_block: return false;
        }
    }
    return true;
}

void worker_link::flush()
{
    while (out_sent_ < out_.size()) {
        std::size_t until = out_.size();
        if (!gifts_.empty()) {
            if (gifts_.front().position == position_ + out_sent_) {
                // A socket full of descriptors means that the worker is busy; it reads them with the frames before, whose
                // results ring the doorbell, and every ring flushes.
                if (!send_gift(gifts_.front()))
                    return;
                gifts_.pop_front();
                continue;
            }
            until = static_cast<std::size_t>(gifts_.front().position - position_);
        }
        ssize_t size = os::write(tasks_.get(), out_.data() + out_sent_, until - out_sent_);
        if (size < 0)
            return; // there is no room now, or nobody who reads: one or the other will be reported
        out_sent_ += static_cast<std::size_t>(size);
        if (out_sent_ >= ring_size && out_sent_ > out_.size() / 2) { // what is sent must not pile up behind a full pipe
            out_.erase(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(out_sent_));
            position_ += out_sent_;
            out_sent_ = 0;
        }
    }
    position_ += out_.size();
    out_.clear();
    out_sent_ = 0;
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
                auto packet = os::receive_packet(socket_.get(), nothing, os::wait::no);
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
            } else if (bulk) {
                frame release;
                release.kind = frame_kind::release;
                release.number = reference.file;
                queue_frame(release, {});
            }
        }
        if ((total += count) > 4 * ring_size) { // the others' turn; the rest is reported again
            ring(doorbell_);
            return true;
        }
    }
}

void worker_link::pass_output_on()
{
    std::array<char, 16 * 1024> bytes;
    for (int reads = 0; output_; ++reads) {
        if (reads == 16) { // the others' turn; the rest is reported again
            set_.remove(output_.get());
            return set_.add_readable(output_.get(), token_of(id_, wakeup::output));
        }
        ssize_t size = os::read(output_.get(), bytes.data(), bytes.size());
        if (size <= 0)
            return;
        std::string_view text{bytes.data(), static_cast<std::size_t>(size)};
        if (last_output_.size() > 4 * kept_output)
            last_output_.erase(0, last_output_.size() - kept_output);
        last_output_ += text;
        while (!text.empty()) {
            ssize_t written = os::write(STDERR_FILENO, text.data(), text.size());
            if (written <= 0)
                break; // whoever has closed it doesn't want it
            text.remove_prefix(static_cast<std::size_t>(written));
        }
    }
}

std::string worker_link::last_output() const
{
    std::string_view text = last_output_;
    if (text.size() > kept_output) {
        text.remove_prefix(text.size() - kept_output);
        text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
    }
    if (text.ends_with('\n'))
        text.remove_suffix(1);
    return std::string{text};
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
