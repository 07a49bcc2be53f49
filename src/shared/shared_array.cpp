#include <coproc/shared_array.hpp>

#include "os/error.hpp"
#include "sync/arena.hpp"
#include "sync/mutex_object.hpp"

#include <coproc/detail/large_buffer.hpp>
#include <coproc/error.hpp>

#include <cerrno>
#include <stdexcept>
#include <string>
#include <utility>

namespace coproc::detail {

namespace {

constexpr const char* file_name = "coproc array";
constexpr std::size_t before_elements = first_object + sizeof(mutex_object);
static_assert(before_elements == 256);

} // namespace

std::byte* array_memory::begin() const noexcept { return file ? file->data() + (lock ? before_elements : 0) : nullptr; }

const mutex& array_memory::own_mutex() const
{
    if (!lock)
        throw usage_error{"this shared array has no mutex of its own: make it with coproc::with_mutex as the last argument"};
    return *lock;
}

array_memory make_array(std::size_t count, std::size_t size, bool with_mutex)
{
    if (count == 0 && !with_mutex)
        return {};
    if (count > SIZE_MAX / 2 / size)
        os::fail(ENOMEM, ("making a shared array of " + std::to_string(count) + " elements").c_str());
    bool huge = count * size >= large_buffer;
    if (!with_mutex)
        return {make_shared_file(file_name, count * size, huge), nullptr};
    auto place = make_object_before(count * size, object_kind::mutex, sizeof(mutex_object), 0, file_name, huge);
    return {place->page, std::make_shared<const mutex>(place)};
}

void throw_out_of_array(std::size_t index, std::size_t size)
{
    throw std::out_of_range{"element " + std::to_string(index) + " of a shared array of " + std::to_string(size)};
}

void save_array(output_archive& archive, const array_memory& memory, const array_place& place)
{
    archive(place.type, place.first, place.count, memory.lock != nullptr);
    if (place.count != 0 || memory.lock)
        save_file(archive, memory.file);
}

array_memory load_array(input_archive& archive, array_place& place, std::size_t size)
{
    auto expected = place.type;
    bool with_mutex = false;
    archive(place.type, place.first, place.count, with_mutex);
    if (place.type != expected)
        throw type_error{"a shared array of other elements than those that were expected"};
    if (place.count == 0 && !with_mutex)
        return {};
    auto before = with_mutex ? before_elements : 0, most = (SIZE_MAX - before) / size;
    if (place.count > most || place.first > most - place.count)
        throw protocol_error{"a shared array that is larger than any memory"};
    auto file = load_file(archive, before + static_cast<std::size_t>(place.first + place.count) * size);
    if (!with_mutex)
        return {std::move(file), nullptr};
    auto lock = std::make_shared<const mutex>(object_in(file, first_object, object_kind::mutex, sizeof(mutex_object), 0));
    return {std::move(file), std::move(lock)};
}

} // namespace coproc::detail
