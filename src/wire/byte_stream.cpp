#include <coproc/detail/byte_stream.hpp>

#include <coproc/error.hpp>

#include <cereal/details/helpers.hpp>

#include <string>

namespace coproc::detail {

void throw_truncated(std::size_t wanted, std::size_t remaining)
{
    throw protocol_error{"coproc: truncated message: " + std::to_string(wanted) + " more bytes are expected, "
                         + std::to_string(remaining) + " remain"};
}

void throw_too_long(std::uint64_t count, std::size_t remaining)
{
    throw protocol_error{"coproc: a container of " + std::to_string(count) + " elements is too long for the "
                         + std::to_string(remaining) + " bytes that remain of its message"};
}

void throw_too_deep()
{
    throw protocol_error{"coproc: a value is nested deeper than " + std::to_string(max_depth) + " levels"};
}

void throw_malformed(std::string_view what)
{
    throw protocol_error{"coproc: malformed message: " + std::string{what}};
}

attachment byte_source::take_attachment()
{
    if (!attachments_ || next_attachment_ >= attachments_->size())
        throw_malformed("a descriptor that did not come with it");
    return std::move((*attachments_)[next_attachment_++]);
}

attachment byte_source::remembered() const
{
    if (remembered_.descriptor < 0)
        throw_malformed("the same descriptor again, where none was before");
    return remembered_;
}

void byte_source::check_shared(const void* type)
{
    std::uint32_t id = 0;
    if (remaining() < sizeof id)
        throw_truncated(sizeof id, remaining());
    std::memcpy(&id, next_, sizeof id);
    const std::uint32_t number = id & ~static_cast<std::uint32_t>(cereal::detail::msb_32bit);
    if (id != number) {   // the first meeting; cereal counts from 1
        if (number != shared_types_.size() + 1)
            throw_malformed("a shared object out of turn");
        shared_types_.push_back(type);
    } else if (number != 0 && (number > shared_types_.size() || shared_types_[number - 1] != type)) {
        throw_malformed("a shared object of another type");
    }
}

}  // namespace coproc::detail
