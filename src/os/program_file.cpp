#include "os/program_file.hpp"

#include "os/memory_file.hpp"

#include <mutex>

namespace coproc::os {
namespace {

struct place {
    std::mutex mutex;
    descriptor file;
};
place& here()
{
    static place& instance = *new place; // never destroyed: processes may be started until the very end
    return instance;
}

} // namespace

int program_file()
{
    std::scoped_lock lock{here().mutex};
    if (!here().file) {
        auto file = make_memory_file("coproc program", program_file_size);
        seal(file, growth::no);
        here().file = std::move(file);
    }
    return here().file.get();
}

void adopt_program_file(descriptor file)
{
    std::scoped_lock lock{here().mutex};
    static_cast<void>(here().file.release()); // in a copy of a process, a number that was closed already
    here().file = std::move(file);
}

} // namespace coproc::os
