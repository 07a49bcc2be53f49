#include <coproc/detail/kept_function.hpp>

#include <coproc/detail/entry.hpp>

namespace coproc::detail {

kept_function::kept_function(std::span<const std::byte> bytes, std::vector<attachment> attachments, std::shared_ptr<const void> owner)
    : bytes_{bytes}, attachments_{std::move(attachments)}, owner_{std::move(owner)}
{
}

const entry& kept_function::what()
{
    if (!entry_) {
        input_archive in{bytes_.data(), bytes_.size()};
        entry_ = &decode_entry(in);
        state_ = bytes_.last(in.remaining());
    }
    return *entry_;
}

} // namespace coproc::detail
