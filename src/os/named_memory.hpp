// Shared memory with a name: files in /dev/shm, where other programs find them, and what becomes of them.
//
// The kernel removes no name by itself. So whose a name is stands in the file: it has the sticky bit (which means nothing on
// files), and every owner has it open with a shared lock (flock), which the kernel takes away when the last owner's last
// descriptor is closed, however that comes about. A file with the bit and without a lock has lost its owners, and whoever
// finds it removes it: an exclusive lock makes sure that it is one of them, and that no owner is there. A file gets its name
// as the last step, with size, contents and lock.
#pragma once

#include "os/descriptor.hpp"

#include <cstddef>
#include <string>

namespace coproc::os {

/// Whether `name` can be one: 1 to 255 bytes without '/' and zero, not "." or "..".
[[nodiscard]] bool is_memory_name(const std::string& name) noexcept;

/// A file of `size` zero bytes, all of them reserved, that has an owner and no name yet. Throws std::system_error: ENOSPC.
[[nodiscard]] descriptor make_nameless_memory(std::size_t size);
/// Gives it its name. False: there is such a name, of memory that is in use. Throws std::system_error.
[[nodiscard]] bool give_name(const descriptor& file, const std::string& name);
/// Opens memory of that name, owned by others. Throws std::system_error: ENOENT, also if its owners are gone.
[[nodiscard]] descriptor open_named_memory(const std::string& name);
/// False: there is none.
bool remove_name(const std::string& name);

/// Becomes an owner as well. False: it has lost its name, or its owners and is being removed.
[[nodiscard]] bool own(const descriptor& file, const std::string& name);
/// Nobody is its owner from now on: the name stays.
void disown(const descriptor& file);

enum class tidied { nothing_there, removed, has_owners, was_never_owned };
/// Removes the name if its owners are gone; not one that was released, or is of another program or user.
tidied tidy(const std::string& name) noexcept;
/// Waits until the owners of that name are gone, then the same.
tidied tidy_after_owners(const std::string& name) noexcept;
/// Tidies all names.
void tidy_all() noexcept;

} // namespace coproc::os
