#include "os/ancillary.hpp"

#include <cstring>

namespace coproc::os {

void attach(msghdr& message, ancillary& room, std::span<const int> descriptors)
{
    if (descriptors.empty())
        return;
    message.msg_control = room.bytes.data(); // only the part that is used is written
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    std::memset(room.bytes.data(), 0, message.msg_controllen);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
}

std::vector<descriptor> take_descriptors(msghdr& message)
{
    std::vector<descriptor> result;
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header))
        if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
            for (std::size_t at = CMSG_LEN(0); at + sizeof(int) <= header->cmsg_len; at += sizeof(int)) {
                int number;
                std::memcpy(&number, reinterpret_cast<char*>(header) + at, sizeof number);
                descriptor received{number};
                if (number <= 2)
                    received = received.duplicate();
                result.push_back(std::move(received));
            }
    return result;
}

} // namespace coproc::os
