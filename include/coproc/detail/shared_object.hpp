// What the handles of shared objects have in common.
#pragma once

#include <coproc/serialize.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace coproc::detail {

enum class object_kind : std::uint32_t {
    mutex = 1,
    recursive_mutex,
    shared_mutex,
    semaphore,
    bounded_semaphore,
    event,
    condition,
    barrier,
    latch,
    value,
    queue,
    joinable_queue
};

/// What each object in shared memory begins with.
struct object_header {
    std::uint32_t kind = 0, size = 0;
    std::uint64_t type = 0; ///< of its contents, where they have one
};

/// Where an object is: in a page that processes share. Local handles share this.
struct object_place;

/// A handle of an object in shared memory. Copies, here or in other processes, are handles of the same object; when the last
/// one is gone, so is the object (its memory is used again, or given back with its page).
///
/// The object of a handle that was default constructed is made when it is first used or copied, all zero. Thread-safe.
class shared_object {
public:
    shared_object(const shared_object& other);
    shared_object(shared_object&& other) noexcept;
    shared_object& operator=(const shared_object& other);
    shared_object& operator=(shared_object&& other) noexcept;
    ~shared_object();

    /// Handles of the same object.
    friend bool operator==(const shared_object& a, const shared_object& b) { return a.get() == b.get(); }

    void save(output_archive& archive) const;
    /// Throws protocol_error for what is no object, type_error for one of another kind or type.
    void load(input_archive& archive);

protected:
    /// `size` with its header, in bytes; at most 1 GiB.
    shared_object(object_kind kind, std::size_t size, std::uint64_t type = 0) noexcept;

    /// The object, which begins with its header; made if it wasn't. Throws std::system_error when there is no memory, or no
    /// descriptor for a new page.
    [[nodiscard]] std::byte* get() const
    {
        auto* here = at_.load(std::memory_order_acquire);
        return here ? here : make();
    }
    /// What keeps it where it is.
    [[nodiscard]] std::shared_ptr<object_place> place() const
    {
        static_cast<void>(get());
        return place_;
    }

    /// Becomes a handle of the object there, which is of its kind and type.
    void adopt(std::shared_ptr<object_place> place) noexcept;

private:
    std::byte* make() const;

    mutable std::shared_ptr<object_place> place_;
    mutable std::atomic<std::byte*> at_{nullptr};
    object_kind kind_;
    std::uint32_t size_;
    std::uint64_t type_;
};

} // namespace coproc::detail
