// An array that lives in shared memory: every process that has it sees the same elements.
#pragma once

#include <coproc/detail/fingerprint.hpp>
#include <coproc/detail/shared_file.hpp>
#include <coproc/mutex.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <memory>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

namespace coproc {

template <class T>
class shared_array;

namespace detail {

/// A file of elements, before which an array with a mutex of its own has that; both null for an empty array without.
struct array_memory {
    std::shared_ptr<shared_file> file;
    std::shared_ptr<const mutex> lock;

    /// The first element.
    [[nodiscard]] std::byte* begin() const noexcept;
    /// Throws usage_error if there is none.
    [[nodiscard]] const mutex& own_mutex() const;
};
/// For `count` elements of `size` bytes, all zero. Throws std::system_error (see make_shared_file).
[[nodiscard]] array_memory make_array(std::size_t count, std::size_t size, bool with_mutex);
[[noreturn]] void throw_out_of_array(std::size_t index, std::size_t size);

/// What a message says of an array: `count` elements of `size` bytes each, from element `first` of the file on.
struct array_place {
    std::uint64_t type = 0, first = 0, count = 0;
};
void save_array(output_archive& archive, const array_memory& memory, const array_place& place);
/// Throws type_error for an array of other elements, protocol_error for one that does not lie in the memory that came.
[[nodiscard]] array_memory load_array(input_archive& archive, array_place& place, std::size_t size);

template <class T>
inline constexpr bool is_shared_array = false;
template <class T>
inline constexpr bool is_shared_array<shared_array<T>> = true;

template <class Range, class T>
concept elements_for = std::ranges::input_range<Range> && !is_shared_array<std::remove_cvref_t<Range>>
                       && std::convertible_to<std::ranges::range_reference_t<Range>, T>;

template <class T>
constexpr bool can_be_shared()
{
    static_assert(std::is_trivially_copyable_v<T>,
                  "coproc: the elements of a shared_array are bytes that every process sees, so their type must be trivially "
                  "copyable: put what owns memory (strings, containers) into a shared_segment");
    static_assert(!std::is_pointer_v<T>, "coproc: a raw pointer means nothing in another process: share indices");
    return true;
}

} // namespace detail

/// Says that a shared_array is to have a mutex of its own.
struct with_mutex_t {
    explicit constexpr with_mutex_t(int) noexcept {}
};
inline constexpr with_mutex_t with_mutex{0};

/// An array of fixed size in anonymous shared memory.
///
/// It is a handle, as std::span is: copies show the same elements, in this process and in others, and a const handle does
/// not make its elements const (`shared_array<const T>` does: it reads only, and is made from a `shared_array<T>`).
/// `clone` copies the elements. A handle can be sent in any message, as argument, result or item, and passed on from there:
/// no element moves, whatever the size. The memory is gone when the last process that has a handle drops it or ends,
/// however it ends; so an array outlives its maker as long as somebody else has it. The default constructed array is empty.
///
/// T is trivially copyable; its bytes are shared as they are, padding included.
/// Nothing is locked: who writes an element while another process reads or writes it needs a mutex, or
/// `std::atomic_ref<T>`, which works across processes where it is lock-free. The mutex may be the array's own, which is made
/// if the last argument of the constructor is `with_mutex` and then goes wherever a handle goes:
///
///     coproc::shared_array<double> accounts{100, coproc::with_mutex};
///     auto held = co_await accounts.mutex().acquire();     // or std::scoped_lock held{accounts.mutex()};
///
/// A process keeps the memory mapped, once, as long as it has a handle of it. After a plain fork the copy of a handle shows
/// the same memory, but can't be sent (usage_error).
template <class T>
class shared_array {
    static_assert(detail::can_be_shared<std::remove_cv_t<T>>());

public:
    using element_type = T;
    using value_type = std::remove_cv_t<T>;
    using size_type = std::size_t;
    using difference_type = std::ptrdiff_t;
    using reference = T&;
    using pointer = T*;
    using iterator = T*;
    using const_iterator = const T*;

    /// Empty, without memory.
    shared_array() noexcept = default;

    /// `count` elements, each `T{}` (zero for numbers). Pages of memory are taken when they are first written or read.
    /// 4 MiB and more are put into huge pages where the system has them for shared memory.
    /// Throws: std::system_error: for want of descriptors, or ENOMEM for more bytes than the machine has RAM and swap. Less
    ///         than that is not reserved: as with any memory on Linux, a machine that runs out of it kills processes.
    explicit shared_array(std::size_t count)
        requires(!std::is_const_v<T> && std::is_default_constructible_v<T>)
        : shared_array{count, uninitialized{}}
    {
        construct();
    }
    shared_array(std::size_t count, with_mutex_t)
        requires(!std::is_const_v<T> && std::is_default_constructible_v<T>)
        : shared_array{count, uninitialized{true}}
    {
        construct();
    }
    /// `count` elements, each equal to `value`.
    shared_array(std::size_t count, const value_type& value)
        requires(!std::is_const_v<T>)
        : shared_array{count, uninitialized{}}
    {
        std::uninitialized_fill_n(data_, size_, value);
    }
    shared_array(std::size_t count, const value_type& value, with_mutex_t)
        requires(!std::is_const_v<T>)
        : shared_array{count, uninitialized{true}}
    {
        std::uninitialized_fill_n(data_, size_, value);
    }
    /// Copies the elements of a range: `shared_array<int>{std::views::iota(0, 10)}`, `shared_array{std::vector{1, 2, 3}}`.
    /// (A list in braces would be taken for count and value.)
    template <detail::elements_for<std::remove_cv_t<T>> Range>
    explicit shared_array(Range&& range)
        requires(!std::is_const_v<T>)
    {
        copy(range, uninitialized{});
    }
    template <detail::elements_for<std::remove_cv_t<T>> Range>
    shared_array(Range&& range, with_mutex_t)
        requires(!std::is_const_v<T>)
    {
        copy(range, uninitialized{true});
    }
    /// The same elements, to be read only.
    shared_array(const shared_array<value_type>& other) noexcept
        requires std::is_const_v<T>
        : memory_{other.memory_}, data_{other.data_}, size_{other.size_}
    {
    }

    shared_array(const shared_array&) noexcept = default;
    shared_array(shared_array&& other) noexcept
        : memory_{std::move(other.memory_)}, data_{std::exchange(other.data_, nullptr)}, size_{std::exchange(other.size_, 0)}
    {
    }
    shared_array& operator=(const shared_array&) noexcept = default;
    shared_array& operator=(shared_array&& other) noexcept
    {
        shared_array{std::move(other)}.swap(*this);
        return *this;
    }
    ~shared_array() = default;
    void swap(shared_array& other) noexcept
    {
        std::swap(memory_, other.memory_);
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
    }

    [[nodiscard]] T* data() const noexcept { return data_; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] T* begin() const noexcept { return data_; }
    [[nodiscard]] T* end() const noexcept { return data_ + size_; }
    [[nodiscard]] T& operator[](std::size_t index) const noexcept { return data_[index]; }
    [[nodiscard]] T& front() const noexcept { return data_[0]; }
    [[nodiscard]] T& back() const noexcept { return data_[size_ - 1]; }
    /// Throws std::out_of_range.
    [[nodiscard]] T& at(std::size_t index) const
    {
        if (index >= size_)
            detail::throw_out_of_array(index, size_);
        return data_[index];
    }

    /// The array's own mutex, which all its handles share, those of a part too. It can be copied and sent by itself, and keeps
    /// the whole memory. The reference holds as long as a handle in this process. Throws usage_error if the array was made
    /// without `with_mutex`.
    /// Cost:    256 bytes before the elements, which then don't begin at a page.
    [[nodiscard]] const coproc::mutex& mutex() const { return memory_.own_mutex(); }

    /// A handle of the elements from `first` on, `count` of them or all that are left: a tile of the work, say, that a task
    /// is given. It keeps the whole memory. Throws std::out_of_range if they don't lie in this array.
    [[nodiscard]] shared_array subarray(std::size_t first, std::size_t count = static_cast<std::size_t>(-1)) const
    {
        if (first > size_)
            detail::throw_out_of_array(first, size_);
        if (count == static_cast<std::size_t>(-1))
            count = size_ - first;
        if (count > size_ - first)
            detail::throw_out_of_array(first + count, size_);
        shared_array part;
        if (count != 0 || memory_.lock) {
            part = *this;
            part.data_ += first;
            part.size_ = count;
        }
        return part;
    }

    /// A copy of the elements in shared memory of its own, without a mutex.
    [[nodiscard]] shared_array<value_type> clone() const
    {
        shared_array<value_type> copy{size_, typename shared_array<value_type>::uninitialized{}};
        std::uninitialized_copy_n(data_, size_, copy.data_);
        return copy;
    }

    void save(output_archive& archive) const
    {
        auto first = size_ == 0 ? 0 : data_ - reinterpret_cast<T*>(memory_.begin());
        detail::save_array(archive, memory_, {detail::fingerprint<T>, static_cast<std::uint64_t>(first), size_});
    }
    void load(input_archive& archive)
    {
        detail::array_place place{detail::fingerprint<T>};
        memory_ = detail::load_array(archive, place, sizeof(T));
        data_ = memory_.file ? reinterpret_cast<T*>(memory_.begin()) + place.first : nullptr;
        size_ = static_cast<std::size_t>(place.count);
    }

private:
    template <class U>
    friend class shared_array;

    struct uninitialized {
        bool with_mutex = false;
    };
    shared_array(std::size_t count, uninitialized how)
        : memory_{detail::make_array(count, sizeof(T), how.with_mutex)}, data_{reinterpret_cast<T*>(memory_.begin())}, size_{count}
    {
        static_assert(alignof(T) <= 256, "coproc: no more than 256 bytes of alignment in a shared array");
    }
    void construct()
    {
        if constexpr (!std::is_trivially_default_constructible_v<T>)
            std::uninitialized_value_construct_n(data_, size_);
    }
    template <class Range>
    void copy(Range& range, uninitialized how)
    {
        if constexpr (std::ranges::forward_range<Range> || std::ranges::sized_range<Range>) {
            *this = shared_array{static_cast<std::size_t>(std::ranges::distance(range)), how};
            auto to = data_;
            for (auto&& element : range)
                std::construct_at(to++, std::forward<decltype(element)>(element));
        } else {
            std::vector<value_type> all;
            for (auto&& element : range)
                all.push_back(std::forward<decltype(element)>(element));
            copy(all, how);
        }
    }

    detail::array_memory memory_;
    T* data_ = nullptr;
    std::size_t size_ = 0;
};

template <class Range>
    requires std::ranges::input_range<Range> && (!detail::is_shared_array<std::remove_cvref_t<Range>>)
shared_array(Range&&, with_mutex_t) -> shared_array<std::ranges::range_value_t<Range>>;

template <class Range>
    requires std::ranges::input_range<Range> && (!detail::is_shared_array<std::remove_cvref_t<Range>>)
shared_array(Range&&) -> shared_array<std::ranges::range_value_t<Range>>;

} // namespace coproc
