#include "pool/task_pipe.hpp"

#include "os/calls.hpp"
#include "os/packet.hpp"
#include "pool/worker_page.hpp"

#include <coproc/error.hpp>

#include <algorithm>
#include <utility>

namespace coproc::detail {

std::shared_ptr<bulk_file> task_pipe::queue_message(frame header, buffer& message)
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
        reference = bulk_.place(message);
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
        for (auto file : bulk_.gone())
            queue_word(frame_kind::forget, file);
    return std::move(reference.keep);
}

void task_pipe::queue_frame(const frame& header, std::span<const std::byte> body)
{
    auto bytes = std::as_bytes(std::span{&header, 1});
    out_.insert(out_.end(), bytes.begin(), bytes.end());
    out_.insert(out_.end(), body.begin(), body.end());
}

void task_pipe::queue_word(frame_kind kind, std::uint64_t number)
{
    frame header;
    header.kind = kind;
    header.number = number;
    queue_frame(header);
}

void task_pipe::queue_function(std::uint64_t number, buffer& function)
{
    if (functions_.contains(number))
        return;
    frame header;
    header.kind = frame_kind::function;
    header.number = number;
    auto file = queue_message(header, function); // which the buffer has as well
    functions_.emplace(number, file ? file->id : 0);
}

bool task_pipe::drop_function(std::uint64_t number)
{
    auto found = functions_.find(number);
    if (found == functions_.end())
        return false;
    queue_word(frame_kind::drop, number);
    if (auto file = found->second; file != 0) {
        queue_word(frame_kind::forget, file);
        bulk_.forget(file);
    }
    functions_.erase(found);
    return true;
}

bool task_pipe::send_gift(gift& what)
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

void task_pipe::flush()
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
        ssize_t size = os::write(pipe_.get(), out_.data() + out_sent_, until - out_sent_);
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

} // namespace coproc::detail
