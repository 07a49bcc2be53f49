// Bytes in shared memory: anonymous, or with a name by which other programs find them.
#pragma once

#include <coproc/detail/shared_file.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

namespace coproc {

namespace detail {
class named_file;
}

/// Bytes that several processes see. Elements of one type are better kept in a shared_array, containers in a shared_segment.
///
/// It is a handle: copies show the same bytes, here and in other processes. It can be sent in any message, and passed on. The
/// memory is gone when the last process that has a handle drops it or ends, however it ends. Nothing is locked: who writes
/// what others use needs a mutex.
///
/// **Names** are for other programs, and for those only: processes of one program send each other the handle. A name is one
/// of a file in /dev/shm, so that shm_open, and Python's SharedMemory, find it; it is the user's alone (mode 0600). Who
/// makes it owns it, and so does whoever gets the owner's handle in a message; who opens it doesn't. When the last owner
/// drops its handle or ends, the name is removed, even if all of the program is killed: for that each process that owns a name
/// has a second one beside it, this executable again, which waits for its end. Should that be killed too, the name goes
/// when somebody makes or opens it the next time, or when another program with names ends. Those who have the memory open keep
/// it. `release` lets a name outlive its owners; `take_over` makes an opener an owner.
class shared_memory {
public:
    /// Empty: no bytes.
    shared_memory() noexcept = default;
    /// Anonymous memory of `size` bytes, all zero; 0 is empty. Pages are taken when they are first used.
    /// Throws: std::system_error (descriptors; ENOMEM for more than the machine has RAM and swap).
    explicit shared_memory(std::size_t size);

    /// Memory of `size` bytes, all zero, under `name`, which is 1 to 255 bytes without '/' and zero bytes; an empty name
    /// chooses one at random (see `name`). Its pages are taken at once, as /dev/shm may be full: 0.3 s for 1 GiB.
    /// Throws: usage_error for what can be no name, or a size of 0; std::system_error: EEXIST if there is such a name, ENOSPC,
    ///         ENOMEM. Nothing is left behind then.
    /// Cost:   the first owned name of a process starts the second process: 2 ms.
    [[nodiscard]] static shared_memory create(const std::string& name, std::size_t size);
    /// The same with contents: `initialize(std::span<std::byte>)` is called before the memory has its name, so nobody sees it
    /// half made. What it throws is thrown, and there is no such name.
    template <class F>
        requires std::is_invocable_v<F&, std::span<std::byte>>
    [[nodiscard]] static shared_memory create(const std::string& name, std::size_t size, F initialize)
    {
        auto made = make_nameless(size);
        initialize(std::span<std::byte>{made.data(), made.size()});
        made.give_name(name);
        return made;
    }
    /// Opens what another program, or this one, has made. Beware: who may write to it can also make it shorter (ftruncate),
    /// and then touching what was cut off is SIGBUS here.
    /// Throws: usage_error for what can be no name; std::system_error: ENOENT, EACCES; type_error if there are fewer bytes
    ///         than `least`.
    [[nodiscard]] static shared_memory open(const std::string& name, std::size_t least = 1);
    /// Removes a name, whoever owns it; those who have the memory keep it. False: there is none. Throws: std::system_error.
    static bool remove(const std::string& name);

    [[nodiscard]] std::byte* data() const noexcept { return file_ ? file_->data() : nullptr; }
    [[nodiscard]] std::size_t size() const noexcept { return file_ ? file_->size() : 0; }
    [[nodiscard]] bool empty() const noexcept { return size() == 0; }
    [[nodiscard]] std::byte* begin() const noexcept { return data(); }
    [[nodiscard]] std::byte* end() const noexcept { return data() + size(); }
    /// The bytes as elements of T, as many as fit; they begin aligned to a page. What no T was written to is bytes.
    template <class T>
    [[nodiscard]] std::span<T> as() const noexcept
    {
        static_assert(std::is_trivially_copyable_v<T>, "coproc: shared bytes can be seen as trivially copyable types only");
        return {reinterpret_cast<T*>(data()), size() / sizeof(T)};
    }

    /// The name; empty for anonymous memory. Others may have removed it.
    [[nodiscard]] std::string name() const;
    /// Whether this handle is an owner of its name.
    [[nodiscard]] bool owns() const noexcept;
    /// Nobody owns the name from now on, in any process: it stays until it is removed. Throws: usage_error without a name.
    void release();
    /// Becomes an owner: the name lives as long as this handle, at least, and is removed with its last owner.
    /// Throws: usage_error without a name; std::system_error: ENOENT if it is removed, or is of other memory by now.
    void take_over();

    void save(output_archive& archive) const;
    void load(input_archive& archive);

private:
    static shared_memory make_nameless(std::size_t size);
    void give_name(const std::string& name);

    std::shared_ptr<detail::shared_file> file_;
    std::shared_ptr<detail::named_file> named_; // the same, if it has a name
};

} // namespace coproc
