#include "read_file.hpp"

#include <cerrno>
#include <cstddef>
#include <fcntl.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

namespace {

constexpr std::size_t largest = 256u << 20; // a worker holds one file in memory; no header comes near this

std::string reason() { return std::generic_category().message(errno); }

std::optional<std::string> read_all(int file, std::string& text)
{
    struct stat status;
    if (::fstat(file, &status) != 0)
        return reason();
    if (!S_ISREG(status.st_mode))
        return "not a regular file";
    text.resize(static_cast<std::size_t>(status.st_size) + 1); // one more, to see the end without another round
    for (std::size_t size = 0;;) {
        if (text.size() > largest)
            return "larger than 256 MiB";
        ssize_t count = ::read(file, text.data() + size, text.size() - size);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return reason();
        size += static_cast<std::size_t>(count);
        if (count == 0 || size < text.size()) {
            text.resize(size);
            if (count == 0 || size == static_cast<std::size_t>(status.st_size))
                return {};
        }
        text.resize(size + size / 2 + 4096); // it has grown, or is one of those in /proc that hide their size
    }
}

} // namespace

std::optional<std::string> read_file(const std::string& path, std::string& text)
{
    int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); // not blocked by a FIFO without a writer
    if (file < 0)
        return reason();
    auto result = read_all(file, text);
    ::close(file);
    return result;
}
