#include <coproc/shared_segment.hpp>

#include <coproc/detail/large_buffer.hpp>
#include <coproc/error.hpp>

#include <cstring>
#include <string>

namespace coproc::detail {
namespace {

// What a segment's file begins with: two of the same layout have the same.
constexpr std::uint64_t mark = fingerprint<shared_segment::manager_type>;

constexpr std::size_t page = 4096;

} // namespace

std::shared_ptr<shared_file> make_segment_file(std::size_t size, std::size_t least)
{
    least += segment_offset;
    if (size < least)
        throw usage_error{"a shared segment needs at least " + std::to_string(least) + " bytes"};
    auto rounded = size > SIZE_MAX - page ? size : (size + page - 1) / page * page;
    return make_shared_file("coproc segment", rounded, rounded >= large_buffer);
}

void mark_segment(const shared_file& file) noexcept { std::memcpy(file.data(), &mark, sizeof mark); }

void save_segment(output_archive& archive, const std::shared_ptr<shared_file>& file)
{
    archive(file != nullptr);
    if (file)
        save_file(archive, file);
}

std::shared_ptr<shared_file> load_segment(input_archive& archive)
{
    bool is_there = false;
    archive(is_there);
    if (!is_there)
        return nullptr;
    auto file = load_file(archive, segment_offset + sizeof(shared_segment::manager_type));
    if (std::memcmp(file->data(), &mark, sizeof mark) != 0)
        throw protocol_error{"shared memory that was sent is no shared segment"};
    return file;
}

void throw_empty_segment() { throw usage_error{"this shared_segment is empty: make one with a size"}; }
void throw_segment_has(const char* name)
{
    throw usage_error{"the shared segment has an object \"" + std::string{name} + "\" already: use find_or_construct"};
}
void throw_segment_type(const char* name)
{
    throw type_error{"the object \"" + std::string{name} + "\" of a shared segment was made as another type"};
}

} // namespace coproc::detail
