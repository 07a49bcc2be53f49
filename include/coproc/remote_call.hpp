// A function without arguments, ready to be called in another process.
#pragma once

#include <coproc/detail/entry.hpp>
#include <coproc/serialize.hpp>

#include <memory>
#include <type_traits>
#include <utility>

namespace coproc {

/// What pool_options::initializer and finalizer are made from: any callable that process::start takes and that needs no
/// further arguments, bind_front(f, args...) for one that does. Encoded when constructed; copies share what they refer to.
///
/// Handles (mutex, queue, shared_array, ...) may be among its state: each process that calls it gets its own, and what they
/// stand for stays there as long as a copy of this does. Throws usage_error for what only one process can have, a
/// connection's end (which is closed then), and for more than 100 descriptors.
class remote_call {
public:
    remote_call() noexcept = default; ///< nothing
    template <class F>
        requires(!std::is_same_v<std::remove_cvref_t<F>, remote_call>)
    remote_call(F&& f)
    {
        static_assert(detail::check_call<std::decay_t<F>>());
        detail::buffer encoded;
        output_archive archive{encoded};
        detail::encode_body_function<std::decay_t<F>>(archive, f);
        keep(std::move(encoded));
    }

    explicit operator bool() const noexcept { return encoded_ != nullptr; }
    /// The encoded function, with its attachments; only for a call that is there.
    [[nodiscard]] const detail::buffer& encoded() const noexcept { return *encoded_; }

private:
    void keep(detail::buffer encoded);

    std::shared_ptr<const detail::buffer> encoded_;
};

} // namespace coproc
