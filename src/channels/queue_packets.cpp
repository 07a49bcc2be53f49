#include "channels/queue_packets.hpp"

#include "os/descriptor.hpp"
#include "os/packet.hpp"

#include <coproc/error.hpp>

#include <algorithm>
#include <memory>
#include <span>

namespace coproc::detail {
namespace {

attachment own(os::descriptor descriptor)
{
    auto owner = std::make_shared<os::descriptor>(std::move(descriptor));
    return {owner->get(), owner};
}

auto receive_one(const attachment& from, std::uint64_t& attempt)
{
    return os::receive_packet(from.descriptor, std::as_writable_bytes(std::span{&attempt, 1}), os::wait::no);
}

} // namespace

queue_packets queue_packets::make()
{
    auto ends = os::make_packet_pair();
    return {own(std::move(ends.first)), own(std::move(ends.second))};
}

bool queue_packets::send(std::uint64_t attempt, const std::vector<attachment>& attachments, bool empty) const
{
    std::vector<int> numbers;
    for (auto& attachment : attachments)
        numbers.push_back(attachment.descriptor);
    auto tag = std::as_bytes(std::span{&attempt, 1});
    for (std::span<const int> left{numbers}; !left.empty();) {
        auto now = left.first(std::min(left.size(), os::max_descriptors));
        switch (os::send_packet(putting_.descriptor, tag, now)) {
        case os::sent::yes: left = left.subspan(now.size()); break;
        case os::sent::nobody_listens: throw protocol_error{"a queue's socket was closed"};
        case os::sent::would_block:
            if (!empty)
                return false;
            if (left.size() < numbers.size())
                throw usage_error{"an item of a queue carries more descriptors than the system passes on at a time"};
            for (std::uint64_t old = 0; receive_one(getting_, old).what == os::received::packet;) {
            }
            empty = false;
        }
    }
    return true;
}

bool queue_packets::receive(std::uint64_t attempt, std::size_t count, std::vector<attachment>& to) const
{
    while (to.size() < count) {
        std::uint64_t next = 0, tag = 0;
        if (!os::peek_packet(getting_.descriptor, std::as_writable_bytes(std::span{&next, 1})) || next > attempt)
            return false;
        auto packet = receive_one(getting_, tag);
        if (packet.what != os::received::packet || packet.size != sizeof tag || packet.descriptors.empty())
            throw protocol_error{"descriptors of an item are missing"};
        if (tag == attempt)
            for (auto& descriptor : packet.descriptors)
                to.push_back(own(std::move(descriptor)));
    }
    return true;
}

} // namespace coproc::detail
