// Shared memory with a name, as one process has it.
#pragma once

#include "os/memory_file.hpp"

#include <coproc/detail/shared_file.hpp>

#include <cstddef>
#include <memory>
#include <string>

namespace coproc::detail {

/// What holds the descriptor, and so the lock of an owner: a message under way does as well. The last one in this process to
/// let go looks whether there is another owner anywhere, and removes the name if not.
class named_descriptor;

class named_file final : public shared_file {
public:
    /// Shows `size` bytes of the file. `owns`: it is locked as an owner's; its end is watched (see name_watch.hpp).
    /// Throws std::system_error.
    named_file(os::descriptor file, std::size_t size, std::string name, bool owns);

    [[nodiscard]] const std::string& name() const noexcept;
    [[nodiscard]] bool owns() const noexcept;
    void give_name(std::string name);
    void release();
    void take_over();

private:
    os::mapping memory_; // goes before the base's descriptor: it would keep the lock
    std::shared_ptr<named_descriptor> held_;
};

} // namespace coproc::detail
