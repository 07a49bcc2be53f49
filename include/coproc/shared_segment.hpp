// Containers in shared memory: a segment in which several processes make and use objects of Boost.Interprocess.
//
// The one public header that includes Boost (1.74 or later, headers only). It is no part of coproc.hpp.
#pragma once

#include <coproc/detail/fingerprint.hpp>
#include <coproc/detail/segment_mutex.hpp>
#include <coproc/detail/shared_file.hpp>

#include <boost/interprocess/allocators/allocator.hpp>
#include <boost/interprocess/indexes/iset_index.hpp>
#include <boost/interprocess/mem_algo/rbtree_best_fit.hpp>
#include <boost/interprocess/offset_ptr.hpp>
#include <boost/interprocess/segment_manager.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>

namespace coproc {

namespace detail {

struct segment_mutexes {
    using mutex_type = segment_mutex;
    using recursive_mutex_type = segment_mutex;
};

/// Boost's best fit under our locks. What a broken segment would take back stays where it is: this happens in destructors.
class segment_memory : public boost::interprocess::rbtree_best_fit<segment_mutexes, boost::interprocess::offset_ptr<void>> {
    using base = boost::interprocess::rbtree_best_fit<segment_mutexes, boost::interprocess::offset_ptr<void>>;

public:
    using base::base;
    void deallocate(void* memory)
    {
        try {
            base::deallocate(memory);
        } catch (const broken_segment&) {
        }
    }
    void deallocate_many(multiallocation_chain& chain)
    {
        try {
            base::deallocate_many(chain);
        } catch (const broken_segment&) {
            chain.clear();
        }
    }
};

/// An object with a name, and what type it was made as.
template <class T>
struct segment_object {
    alignas(8) std::uint64_t type = fingerprint<T>;
    T value;

    template <class... Args>
    explicit segment_object(Args&&... args) : value(std::forward<Args>(args)...)
    {
    }
};

/// Where Boost's part of the file begins. What stands before it tells a segment, of this layout, from other memory.
inline constexpr std::size_t segment_offset = 64;
[[nodiscard]] std::shared_ptr<shared_file> make_segment_file(std::size_t size, std::size_t least);
void mark_segment(const shared_file& file) noexcept; ///< it is ready
void save_segment(output_archive& archive, const std::shared_ptr<shared_file>& file);
[[nodiscard]] std::shared_ptr<shared_file> load_segment(input_archive& archive);
[[noreturn]] void throw_empty_segment();
[[noreturn]] void throw_segment_has(const char* name);
[[noreturn]] void throw_segment_type(const char* name);

} // namespace detail

/// Shared memory of fixed size in which containers live.
///
///     coproc::shared_segment segment{1 << 20};
///     using numbers = boost::interprocess::vector<int, coproc::shared_segment::allocator_for<int>>;
///     numbers& all = segment.construct<numbers>("all", segment.allocator<int>());
///     // in another process, which was sent the segment:
///     segment.find<numbers>("all")->push_back(1);
///
/// Any container of Boost.Interprocess (Boost.Container) with `allocator_for` works, and any type that points only to what
/// lies in the segment, by offset_ptr: not std::string, no virtual functions. Objects are known to other processes by name.
///
/// It is a handle: copies, here and in other processes, mean the same segment. It can be sent in any message. The memory is
/// gone, and no destructor runs for what is in it, when the last process drops its handle or ends, however it ends; so a
/// handle must be kept as long as its objects are used.
///
/// Any number of processes and threads may allocate, make, find and destroy at a time: that is locked. A container isn't:
/// whoever changes one that others use needs a mutex. A process that dies while it holds one of the segment's own locks (for
/// less than a microsecond, or as long as a constructor takes that runs in `construct`) leaves it broken: nobody waits for
/// it, but what needs that lock throws broken_segment from then on, in every process. What is found can still be read, and
/// what is destroyed gives no memory back.
///
/// A full segment: std::bad_alloc from the functions here, boost::interprocess::bad_alloc (a std::exception) from containers.
class shared_segment {
public:
    /// Boost's view of the segment, for what is not here.
    using manager_type = boost::interprocess::segment_manager<char, detail::segment_memory, boost::interprocess::iset_index>;
    /// The allocator that containers in a segment need.
    template <class T>
    using allocator_for = boost::interprocess::allocator<T, manager_type>;

    /// Empty: every call below but `valid` is a usage_error.
    shared_segment() noexcept = default;
    /// A segment of `size` bytes, rounded up to whole pages, of which bookkeeping takes about 500, and 16 or more for each
    /// allocation. It never grows; pages are taken when they are first written, so a generous size costs nothing.
    /// Throws: std::system_error: no descriptors, or more than the machine has. usage_error: less than bookkeeping takes.
    explicit shared_segment(std::size_t size) : file_{detail::make_segment_file(size, manager_type::get_min_size())}
    {
        ::new (manager()) manager_type(file_->size() - detail::segment_offset);
        detail::mark_segment(*file_);
    }

    [[nodiscard]] bool valid() const noexcept { return file_ != nullptr; }
    /// Bytes in all, and those that nothing has been put in; there need not be one piece as large.
    [[nodiscard]] std::size_t size() const { return manager()->get_size(); }
    [[nodiscard]] std::size_t free_memory() const { return manager()->get_free_memory(); }

    template <class T>
    [[nodiscard]] allocator_for<T> allocator() const
    {
        return allocator_for<T>{manager()};
    }

    /// Makes an object `T(args...)` with this name. Others wait meanwhile, so they see it whole or not at all.
    /// Throws: usage_error if there is one of that name; std::bad_alloc; what the constructor throws, and nothing is there.
    template <class T, class... Args>
    T& construct(const char* name, Args&&... args) const
    {
        try {
            return manager()->template construct<detail::segment_object<T>>(name)(std::forward<Args>(args)...)->value;
        } catch (const boost::interprocess::interprocess_exception& e) {
            if (e.get_error_code() == boost::interprocess::already_exists_error)
                detail::throw_segment_has(name);
            if (dynamic_cast<const boost::interprocess::bad_alloc*>(&e))
                throw std::bad_alloc{};
            throw;
        }
    }

    /// The object of that name; null if there is none. Valid until it is destroyed or the last handle here is dropped.
    /// Throws: type_error if it was made as another type.
    template <class T>
    [[nodiscard]] T* find(const char* name) const
    {
        auto* type = manager()->template find<std::uint64_t>(name).first;
        if (!type)
            return nullptr;
        if (*type != detail::fingerprint<T>)
            detail::throw_segment_type(name);
        return &reinterpret_cast<detail::segment_object<T>*>(type)->value;
    }

    /// The object of that name, made from `args` if there is none: by one of all that ask at a time.
    /// Throws: as find and construct.
    template <class T, class... Args>
    T& find_or_construct(const char* name, Args&&... args) const
    {
        T* object = nullptr;
        auto once = [&] {
            object = find<T>(name);
            if (!object)
                object = &construct<T>(name, std::forward<Args>(args)...);
        };
        manager()->atomic_func(once);
        return *object;
    }

    /// Destroys the object of that name and takes its memory back; false if there is none. Nobody may use it any more.
    /// Throws: type_error if it was made as another type.
    template <class T>
    bool destroy(const char* name) const
    {
        bool there = false;
        auto once = [&] { there = find<T>(name) && manager()->template destroy<detail::segment_object<T>>(name); };
        manager()->atomic_func(once);
        return there;
    }

    [[nodiscard]] manager_type* manager() const
    {
        if (!file_)
            detail::throw_empty_segment();
        return reinterpret_cast<manager_type*>(file_->data() + detail::segment_offset);
    }

    void save(output_archive& archive) const { detail::save_segment(archive, file_); }
    void load(input_archive& archive) { file_ = detail::load_segment(archive); }

private:
    std::shared_ptr<detail::shared_file> file_;
};

} // namespace coproc
