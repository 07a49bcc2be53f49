#include <coproc/shared_array.hpp>

#include "os/error.hpp"

#include <coproc/detail/large_buffer.hpp>
#include <coproc/error.hpp>

#include <cerrno>
#include <stdexcept>
#include <string>

namespace coproc::detail {

std::shared_ptr<shared_file> make_array_file(std::size_t count, std::size_t size)
{
    if (count == 0)
        return nullptr;
    if (count > SIZE_MAX / 2 / size)
        os::fail(ENOMEM, ("making a shared array of " + std::to_string(count) + " elements").c_str());
    return make_shared_file("coproc array", count * size, count * size >= large_buffer);
}

void throw_out_of_array(std::size_t index, std::size_t size)
{
    throw std::out_of_range{"element " + std::to_string(index) + " of a shared array of " + std::to_string(size)};
}

void save_array(output_archive& archive, const std::shared_ptr<shared_file>& file, const array_place& place)
{
    archive(place.type, place.first, place.count);
    if (place.count != 0)
        save_file(archive, file);
}

std::shared_ptr<shared_file> load_array(input_archive& archive, array_place& place, std::size_t size)
{
    auto expected = place.type;
    archive(place.type, place.first, place.count);
    if (place.type != expected)
        throw type_error{"a shared array of other elements than those that were expected"};
    if (place.count == 0)
        return nullptr;
    auto most = SIZE_MAX / size;
    if (place.count > most || place.first > most - place.count)
        throw protocol_error{"a shared array that is larger than any memory"};
    return load_file(archive, static_cast<std::size_t>(place.first + place.count) * size);
}

} // namespace coproc::detail
