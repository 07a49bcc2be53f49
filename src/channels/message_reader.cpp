#include "channels/message_reader.hpp"

#include "channels/handshake.hpp"
#include "os/error.hpp"

#include <coproc/error.hpp>
#include <coproc/serialize.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>

namespace coproc::detail {
namespace {

// Small messages are read together, one system call for as many as fit here; large bodies go where they belong.
constexpr std::size_t ahead_size = 8192;
constexpr std::size_t first_step = 1 << 20;

attachment owned(os::descriptor d)
{
    auto owner = std::make_shared<os::descriptor>(std::move(d));
    return {owner->get(), owner};
}

} // namespace

void check(const message_header& header)
{
    if (std::memcmp(&header, handshake_mark.data(), handshake_mark.size()) == 0)
        throw authentication_error{"the other side asks for a key, and none was given to connect"};
    if (header.mark != message_mark)
        throw protocol_error{"what came over a connection is no message"};
    if (header.descriptors > max_message_descriptors)
        throw protocol_error{"a message announces " + std::to_string(header.descriptors) + " descriptors, more than the "
                             + std::to_string(max_message_descriptors) + " allowed"};
    if (header.size > PTRDIFF_MAX)
        throw protocol_error{"a message announces more bytes than there can be"};
}

std::span<std::byte> message_reader::space()
{
    if (has_header_ && header_.size - got_ >= ahead_size) { // the read-ahead buffer is empty then
        if (got_ == body_.size()) {
            auto step = std::min<std::size_t>(header_.size - got_, std::max(first_step, got_));
            static_cast<void>(body_.extend(step));
        }
        return {body_.data() + got_, body_.size() - got_};
    }
    if (ahead_.empty())
        ahead_.resize(ahead_size);
    if (begin_ > 0) {
        std::memmove(ahead_.data(), ahead_.data() + begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
    }
    return {ahead_.data() + end_, ahead_.size() - end_};
}

void message_reader::put(std::size_t count, std::vector<os::descriptor> descriptors, bool lost)
{
    if (has_header_ && header_.size - got_ >= ahead_size)
        got_ += count;
    else
        end_ += count;
    add(std::move(descriptors), lost);
}

void message_reader::add(std::vector<os::descriptor> descriptors, bool lost)
{
    for (auto& d : descriptors)
        descriptors_.push_back(owned(std::move(d)));
    if (descriptors_.size() > 2 * max_message_descriptors)
        throw protocol_error{"descriptors came over a connection that belong to no message"};
    lost_ |= lost;
}

std::size_t message_reader::announced_descriptors() const
{
    if (has_header_ || has_descriptors_ || end_ - begin_ < sizeof(message_header))
        return 0;
    message_header next;
    std::memcpy(&next, ahead_.data() + begin_, sizeof next);
    check(next);
    return next.descriptors;
}

void message_reader::put_descriptors(std::vector<os::descriptor> descriptors, bool lost)
{
    has_descriptors_ = true;
    add(std::move(descriptors), lost);
}

void message_reader::begin_body()
{
    std::memcpy(&header_, ahead_.data() + begin_, sizeof header_);
    check(header_);
    begin_ += sizeof header_;
    if (header_.descriptors > descriptors_.size() && !lost_)
        throw protocol_error{"a message came without the descriptors that belong to it"};
    misses_descriptors_ = header_.descriptors > descriptors_.size();
    if (header_.descriptors != 0)
        lost_ = false;
    auto end = descriptors_.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(header_.descriptors, descriptors_.size()));
    body_.attachments().assign(std::make_move_iterator(descriptors_.begin()), std::make_move_iterator(end));
    descriptors_.erase(descriptors_.begin(), end);
    has_header_ = true;
    got_ = 0;
}

bool message_reader::complete()
{
    for (;;) {
        if (!has_header_) {
            if (end_ - begin_ < sizeof header_)
                return false;
            begin_body();
        }
        if (auto more = std::min<std::size_t>(header_.size - got_, end_ - begin_); more != 0) {
            if (body_.size() < got_ + more)
                static_cast<void>(body_.extend(got_ + more - body_.size()));
            std::memcpy(body_.data() + got_, ahead_.data() + begin_, more);
            got_ += more;
            begin_ += more;
        }
        if (got_ != header_.size)
            return false;
        if (!misses_descriptors_)
            return true;
        static_cast<void>(take());
        os::fail(EMFILE, "receiving the descriptors of a message");
    }
}

message message_reader::take(buffer spare)
{
    message result{header_.type, std::move(body_)};
    spare.clear();
    body_ = std::move(spare);
    has_header_ = misses_descriptors_ = has_descriptors_ = false;
    got_ = 0;
    return result;
}

void message_reader::save(output_archive& archive)
{
    archive(static_cast<std::uint64_t>(end_ - begin_));
    archive.save_binary(ahead_.data() + begin_, end_ - begin_);
    archive(static_cast<std::uint32_t>(descriptors_.size()), lost_, has_header_);
    for (auto& d : descriptors_)
        archive.attach(std::move(d));
    if (has_header_) {
        archive(misses_descriptors_, static_cast<std::uint32_t>(body_.attachments().size()), static_cast<std::uint64_t>(got_));
        archive.save_binary(&header_, sizeof header_);
        archive.save_binary(body_.data(), got_);
        for (auto& d : body_.attachments())
            archive.attach(std::move(d));
    }
    *this = {};
}

void message_reader::load(input_archive& archive)
{
    *this = {};
    std::uint64_t size = 0;
    std::uint32_t count = 0;
    archive(size);
    if (size > ahead_size)
        throw_malformed("a connection that has read too far ahead");
    ahead_.resize(ahead_size);
    archive.load_binary(ahead_.data(), size);
    end_ = size;
    archive(count, lost_, has_header_);
    for (; count != 0; --count)
        descriptors_.push_back(archive.take_attachment());
    if (has_header_) {
        archive(misses_descriptors_, count, size);
        archive.load_binary(&header_, sizeof header_);
        check(header_);
        if (size > header_.size)
            throw_malformed("a connection that has read too much");
        got_ = size;
        auto* bytes = archive.view(size);
        body_.append(bytes, size);
        for (; count != 0; --count)
            body_.attachments().push_back(archive.take_attachment());
    }
}

} // namespace coproc::detail
