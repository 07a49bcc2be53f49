#include "os/named_memory.hpp"

#include "os/calls.hpp"
#include "os/error.hpp"
#include "os/limits.hpp"

#include <cerrno>
#include <climits>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace coproc::os {
namespace {

constexpr const char* folder = "/dev/shm";
constexpr mode_t for_us_alone = 0600, owned = S_ISVTX | for_us_alone;

std::string path_of(const std::string& name) { return std::string{folder} + "/" + name; }

bool same_file(const struct stat& a, const struct stat& b) { return a.st_dev == b.st_dev && a.st_ino == b.st_ino; }

/// Whether the name still means this file.
bool has_name(int file, const std::string& name) noexcept
{
    struct stat open{}, named{};
    return ::fstat(file, &open) == 0 && ::lstat(path_of(name).c_str(), &named) == 0 && same_file(open, named);
}

} // namespace

bool is_memory_name(const std::string& name) noexcept
{
    return !name.empty() && name.size() <= NAME_MAX && name != "." && name != ".."
           && name.find('/') == std::string::npos && name.find('\0') == std::string::npos;
}

descriptor make_nameless_memory(std::size_t size)
{
    if (size > memory_of_machine())
        fail(ENOMEM, ("making shared memory of " + std::to_string(size) + " bytes").c_str());
    auto file = open_file(folder, O_TMPFILE | O_RDWR, for_us_alone);
    int error = 0;
    do
        error = ::posix_fallocate(file.get(), 0, static_cast<off_t>(size));
    while (error == EINTR);
    if (error != 0)
        fail(error, ("making shared memory of " + std::to_string(size) + " bytes").c_str());
    if (::fchmod(file.get(), owned) < 0 || ::flock(file.get(), LOCK_SH | LOCK_NB) < 0)
        fail("owning shared memory");
    return file;
}

bool give_name(const descriptor& file, const std::string& name)
{
    auto self = "/proc/self/fd/" + std::to_string(file.get());
    for (int tries = 0; tries < 2; ++tries) {
        if (::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, path_of(name).c_str(), AT_SYMLINK_FOLLOW) == 0)
            return true;
        if (errno != EEXIST)
            fail(("naming shared memory " + name).c_str());
        if (auto found = tidy(name); found == tidied::has_owners || found == tidied::was_never_owned)
            return false;
    }
    return false;
}

descriptor open_named_memory(const std::string& name)
{
    auto operation = "opening shared memory " + name;
    if (tidy(name) == tidied::removed)
        fail(ENOENT, operation.c_str());
    int number = os::open(path_of(name).c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK);
    if (number < 0)
        fail(operation.c_str());
    descriptor file{number};
    if (number <= 2)
        file = file.duplicate();
    struct stat status{};
    if (::fstat(file.get(), &status) < 0)
        fail(operation.c_str());
    if (!S_ISREG(status.st_mode))
        fail(EINVAL, operation.c_str());
    return file;
}

bool remove_name(const std::string& name)
{
    if (::unlink(path_of(name).c_str()) == 0)
        return true;
    if (errno != ENOENT)
        fail(("removing shared memory " + name).c_str());
    return false;
}

bool own(const descriptor& file, const std::string& name)
{
    if (::flock(file.get(), LOCK_SH | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            return false;
        fail("owning shared memory");
    }
    if (!has_name(file.get(), name)) {
        ::flock(file.get(), LOCK_UN);
        return false;
    }
    if (::fchmod(file.get(), owned) < 0)
        fail("owning shared memory");
    return true;
}

void disown(const descriptor& file)
{
    if (::fchmod(file.get(), for_us_alone) < 0)
        fail("releasing shared memory");
}

tidied tidy(const std::string& name) noexcept
{
    auto path = path_of(name);
    struct stat status{};
    if (::lstat(path.c_str(), &status) < 0)
        return tidied::nothing_there;
    if (!S_ISREG(status.st_mode) || !(status.st_mode & S_ISVTX) || status.st_uid != ::geteuid())
        return tidied::was_never_owned;
    int file = ::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file < 0)
        return errno == ENOENT ? tidied::nothing_there : tidied::has_owners;
    auto result = tidied::has_owners;
    struct stat opened{};
    if (::flock(file, LOCK_EX | LOCK_NB) == 0 && ::fstat(file, &opened) == 0 && (opened.st_mode & S_ISVTX)
        && has_name(file, name) && ::unlink(path.c_str()) == 0)
        result = tidied::removed;
    ::close(file);
    return result;
}

tidied tidy_after_owners(const std::string& name) noexcept
{
    int file = ::open(path_of(name).c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file >= 0) {
        while (::flock(file, LOCK_EX) < 0 && errno == EINTR) {}
        ::close(file);
    }
    return tidy(name);
}

void tidy_all() noexcept
{
    std::unique_ptr<DIR, int (*)(DIR*)> names{::opendir(folder), ::closedir};
    while (auto* entry = names ? ::readdir(names.get()) : nullptr)
        tidy(entry->d_name);
}

} // namespace coproc::os
