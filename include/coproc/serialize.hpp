#pragma once

/// The only door to cereal. A type is a value that can be sent (argument, result, queue item, message) when cereal can
/// save and load it: arithmetic types, enumerations, the standard containers and vocabulary types below, and classes
/// with `template <class A> void serialize(A& archive) { archive(member, ...); }` or any other of cereal's forms.
///
/// Pointers to bases of polymorphic classes need `#include <cereal/types/polymorphic.hpp>` and
/// `CEREAL_REGISTER_TYPE`, as with any archive of cereal.

#include <coproc/detail/byte_stream.hpp>

#include <cereal/cereal.hpp>
#include <cereal/types/array.hpp>
#include <cereal/types/atomic.hpp>
#include <cereal/types/bitset.hpp>
#include <cereal/types/chrono.hpp>
#include <cereal/types/complex.hpp>
#include <cereal/types/deque.hpp>
#include <cereal/types/forward_list.hpp>
#include <cereal/types/list.hpp>
#include <cereal/types/map.hpp>
#include <cereal/types/memory.hpp>
#include <cereal/types/optional.hpp>
#include <cereal/types/queue.hpp>
#include <cereal/types/set.hpp>
#include <cereal/types/stack.hpp>
#include <cereal/types/string.hpp>
#include <cereal/types/tuple.hpp>
#include <cereal/types/unordered_map.hpp>
#include <cereal/types/unordered_set.hpp>
#include <cereal/types/utility.hpp>
#include <cereal/types/valarray.hpp>
#include <cereal/types/variant.hpp>
#include <cereal/types/vector.hpp>

namespace coproc {

/// Saves values to the end of a message, in the byte order and sizes of this machine: the same executable reads them.
///
/// Errors: protocol_error for values nested deeper than 1000 levels; what the values' own functions throw.
/// Cost:   constructing one takes no memory; arithmetic types and contiguous buffers of them are copied once.
class output_archive : public cereal::OutputArchive<output_archive, cereal::AllowEmptyClassElision>,
                       public detail::byte_sink {
    using base = cereal::OutputArchive<output_archive, cereal::AllowEmptyClassElision>;

public:
    /// `target` must outlive the archive.
    explicit output_archive(detail::buffer& target) : base{this}, byte_sink{target} {}

    /// Saves each value in turn.
    template <class... T>
    output_archive& operator()(T&&... values)
    {
        (one(values), ...);
        return *this;
    }

private:
    template <class T>
    void one(T& value)
    {
        if constexpr (std::is_arithmetic_v<T>)
            save_binary(&value, sizeof value);
        else
            base::operator()(value);
    }
};

/// Loads values from a message in memory, which must outlive it. The message may come from anybody: what is truncated,
/// longer than what remains, or nested deeper than 1000 levels is refused with protocol_error before memory is taken
/// for it. A value that was being loaded is then valid but unspecified.
///
/// Values of several output archives are read by as many input archives: each remembers shared pointers for itself.
class input_archive : public cereal::InputArchive<input_archive, cereal::AllowEmptyClassElision>,
                      public detail::byte_source {
    using base = cereal::InputArchive<input_archive, cereal::AllowEmptyClassElision>;

public:
    /// Reads `size` bytes at `data`, of any alignment; descriptors are taken out of `attachments`, which may be null.
    explicit input_archive(const std::byte* data, std::size_t size,
                           std::vector<detail::attachment>* attachments = nullptr)
        : base{this}, byte_source{data, size, attachments}
    {
    }

    /// At the position of `other`, which stays where it is (see `skip_to`), and knowing nothing of its values.
    struct continuation {
        input_archive& other;
    };
    explicit input_archive(continuation from) : base{this}, byte_source{from.other.fresh()} {}

    /// Loads each value in turn.
    template <class... T>
    input_archive& operator()(T&&... values)
    {
        (one(values), ...);
        return *this;
    }

private:
    template <class T>
    void one(T& value)
    {
        if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>)
            load_binary(&value, sizeof value);
        else
            base::operator()(value);
    }
};

}  // namespace coproc

CEREAL_REGISTER_ARCHIVE(coproc::output_archive)
CEREAL_REGISTER_ARCHIVE(coproc::input_archive)
CEREAL_SETUP_ARCHIVE_TRAITS(coproc::input_archive, coproc::output_archive)

#include <coproc/detail/archive_types.hpp>
