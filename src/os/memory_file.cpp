#include "os/memory_file.hpp"

#include "os/calls.hpp"
#include "os/error.hpp"

#include <fcntl.h>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>

namespace coproc::os {

mapping::~mapping()
{
    if (data_)
        ::munmap(data_, size_);
}

void mapping::resize(std::size_t size)
{
    void* moved = ::mremap(data_, size_, size, MREMAP_MAYMOVE);
    if (moved == MAP_FAILED)
        fail("growing a mapping");
    data_ = static_cast<std::byte*>(moved);
    size_ = size;
}

descriptor make_memory_file(const char* name, std::size_t size)
{
    int number = os::make_memory_file(name);
    if (number < 0)
        fail("making a memory file");
    descriptor file{number};
    if (number <= 2)
        file = file.duplicate();
    resize(file, size);
    return file;
}

void resize(const descriptor& file, std::size_t size) { resize_file(file.get(), size); }

void resize_file(int file, std::size_t size)
{
    if (os::resize(file, size) < 0)
        fail("sizing a memory file");
}

void give_back(int file, std::size_t offset, std::size_t size) noexcept
{
    static_cast<void>(::fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset), static_cast<off_t>(size)));
}

std::size_t size_of(const descriptor& file)
{
    struct stat status{};
    if (::fstat(file.get(), &status) < 0)
        fail("asking for a memory file's size");
    return static_cast<std::size_t>(status.st_size);
}

mapping map(const descriptor& file, std::size_t size, access access) { return map(file.get(), size, access); }

mapping map(int file, std::size_t size, access access, std::size_t offset)
{
    void* data = os::map(size, access == access::read ? PROT_READ : PROT_READ | PROT_WRITE, file, offset);
    if (data == MAP_FAILED)
        fail("mapping a memory file");
    return mapping{static_cast<std::byte*>(data), size};
}

void seal(const descriptor& file, growth growth)
{
    int seals = F_SEAL_SHRINK | F_SEAL_SEAL | (growth == growth::no ? F_SEAL_GROW : 0);
    if (::fcntl(file.get(), F_ADD_SEALS, seals) < 0)
        fail("sealing a memory file");
}

namespace {

bool can_shrink(int file) noexcept
{
    int seals = ::fcntl(file, F_GET_SEALS);
    return seals < 0 || (seals & F_SEAL_SHRINK) == 0;
}

} // namespace

bool can_shrink(const descriptor& file) noexcept { return can_shrink(file.get()); }

file_facts facts_of(int file)
{
    struct stat status{};
    if (::fstat(file, &status) < 0)
        fail("asking what a descriptor is");
    return {{status.st_dev, status.st_ino}, static_cast<std::size_t>(status.st_size), can_shrink(file)};
}

descriptor read_only(const descriptor& file)
{
    return open_file(("/proc/self/fd/" + std::to_string(file.get())).c_str(), O_RDONLY);
}

} // namespace coproc::os
