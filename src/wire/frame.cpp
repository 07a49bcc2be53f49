#include "wire/frame.hpp"

#include <coproc/error.hpp>

#include <algorithm>
#include <cstring>
#include <string>

namespace coproc::detail {

void check(const frame& header)
{
    if (header.size > max_body)
        throw protocol_error{"a frame announces " + std::to_string(header.size) + " bytes, more than the " + std::to_string(max_body) + " allowed"};
    if (header.kind < frame_kind::task || header.kind > frame_kind::report)
        throw protocol_error{"a frame is of unknown kind " + std::to_string(static_cast<int>(header.kind))};
    bool answer = header.kind == frame_kind::result || header.kind == frame_kind::failure;
    int of_task = header.kind == frame_kind::task ? frame::apart | frame::measured : 0;
    if ((header.flags & ~(frame::bulk | (answer ? frame::retires : 0) | of_task)) != 0 || header.reserved != 0)
        throw protocol_error{"a frame has unknown flags"};
    if ((header.flags & frame::bulk) != 0
        && (header.kind == frame_kind::release || header.kind == frame_kind::forget || header.kind == frame_kind::stop
            || header.kind == frame_kind::drop || header.kind == frame_kind::leaving))
        throw protocol_error{"a frame without a body refers to a memory file"};
    if ((header.flags & frame::bulk) != 0 && header.size != sizeof(bulk_reference))
        throw protocol_error{"a reference to a memory file has the wrong size"};
}

std::span<std::byte> frame_reader::space(std::size_t least)
{
    if (begin_ == end_)
        begin_ = end_ = 0;
    if (bytes_.size() - end_ < least && begin_ > 0) {
        std::memmove(bytes_.data(), bytes_.data() + begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
    }
    if (bytes_.size() - end_ < least)
        bytes_.resize(std::max(2 * bytes_.size(), end_ + least));
    return {bytes_.data() + end_, bytes_.size() - end_};
}

std::optional<frame_reader::item> frame_reader::next()
{
    item result;
    if (end_ - begin_ < sizeof result.header)
        return std::nullopt;
    std::memcpy(&result.header, bytes_.data() + begin_, sizeof result.header);
    check(result.header);
    if (end_ - begin_ < sizeof result.header + result.header.size)
        return std::nullopt;
    result.body = {bytes_.data() + begin_ + sizeof result.header, result.header.size};
    begin_ += sizeof result.header + result.header.size;
    return result;
}

} // namespace coproc::detail
