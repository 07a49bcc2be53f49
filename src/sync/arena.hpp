// Where objects in shared memory are made.
//
// Small ones by the page: many in one memory file, so that ten thousand mutexes take a handful of descriptors. A process
// makes objects only in pages of its own, so its death while it does harms nobody. The memory of an object that was never
// sent is used again when its last handle is gone; one that was sent may be in use anywhere, and keeps its place until
// nobody has its page.
#pragma once

#include <coproc/detail/shared_file.hpp>
#include <coproc/detail/shared_object.hpp>

#include <atomic>
#include <cstddef>
#include <memory>

namespace coproc::detail {

struct object_place {
    std::shared_ptr<shared_file> page;
    std::byte* at = nullptr; ///< begins with an object_header
    std::size_t size = 0;
    bool counted = false; ///< among those of the page that is being filled
    std::atomic<bool> sent{true};

    ~object_place();
};

/// A new object, all zero but for its header.
[[nodiscard]] std::shared_ptr<object_place> make_object(object_kind kind, std::size_t size, std::uint64_t type);

/// A new object that begins a file of its own, with `room` bytes of other things behind it, from `at + size` on.
[[nodiscard]] std::shared_ptr<object_place> make_object_before(std::size_t room, object_kind kind, std::size_t size, std::uint64_t type,
                                                               const char* file_name, bool huge);
/// Where make_object_before puts its object, from the beginning of the file.
inline constexpr std::size_t first_object = 64;

/// The object there. Throws protocol_error for what is none, type_error for one of another kind or type.
[[nodiscard]] std::shared_ptr<object_place> object_in(std::shared_ptr<shared_file> file, std::uint64_t offset, object_kind kind,
                                                      std::size_t size, std::uint64_t type);

} // namespace coproc::detail
