// A function with a large state, which is sent to a process once and called by many messages.
#pragma once

#include <coproc/detail/function_state.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace coproc::detail {

struct entry;

/// The encoded function, and what was made of it: it is decoded when it is called first. Not thread-safe.
///
/// What its calls only read is decoded once and shared by them. A call that could change it gets its own, decoded from the
/// same bytes: what one message changes no other one sees.
class kept_function {
public:
    /// `owner` keeps the bytes, which are laid out as entry.hpp says.
    kept_function(std::span<const std::byte> bytes, std::vector<attachment> attachments, std::shared_ptr<const void> owner);

    /// Whom the bytes are for. Throws what decode_entry does.
    const entry& what();
    /// Its state, F, after what(): the one that all share.
    template <class F>
    const F& shared()
    {
        if (!decoded_)
            decoded_ = std::make_shared<const F>(load<F>());
        return *static_cast<const F*>(decoded_.get());
    }
    /// The same, as it came.
    template <class F>
    F load() const
    {
        auto attachments = attachments_; // each is taken out
        input_archive in{state_.data(), state_.size(), &attachments};
        return load_function<F>(in);
    }

private:
    std::span<const std::byte> bytes_, state_;
    std::vector<attachment> attachments_;
    std::shared_ptr<const void> owner_;
    const entry* entry_ = nullptr;
    std::shared_ptr<const void> decoded_;
};

} // namespace coproc::detail
