// Shared files that go through the bytes and descriptors of a message, within this process.
#pragma once

#include "os/descriptor.hpp"
#include "support/proc.hpp"

#include <coproc/detail/shared_file.hpp>

#include <cstddef>
#include <fcntl.h>
#include <memory>
#include <unistd.h>
#include <utility>
#include <vector>

namespace wire_test {

using file_ptr = std::shared_ptr<coproc::detail::shared_file>;

inline constexpr std::size_t page = 4096;

inline file_ptr some_file(std::size_t size = page) { return coproc::detail::make_shared_file("coproc test", size); }

/// The other end of a message: its bytes, and copies of its descriptors, as the kernel makes them.
struct arrived {
    std::vector<std::byte> bytes;
    std::vector<coproc::detail::attachment> attachments;

    explicit arrived(const coproc::detail::buffer& message) : bytes(message.data(), message.data() + message.size())
    {
        for (auto& sent : message.attachments()) {
            auto copy = std::make_shared<coproc::os::descriptor>(::fcntl(sent.descriptor, F_DUPFD_CLOEXEC, 3));
            attachments.push_back({copy->get(), copy});
        }
    }
    coproc::input_archive archive() { return coproc::input_archive{bytes.data(), bytes.size(), &attachments}; }
};

template <class... File>
arrived sent(const File&... files)
{
    coproc::detail::buffer message;
    coproc::output_archive out{message};
    (coproc::detail::save_file(out, files), ...);
    return arrived{message};
}

inline file_ptr loaded(arrived message, std::size_t least = 1)
{
    auto in = message.archive();
    return coproc::detail::load_file(in, least);
}

inline std::size_t mappings() { return support::memory_files_mapped_by(::getpid()).size(); }

} // namespace wire_test
