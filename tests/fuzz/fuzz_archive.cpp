// Any bytes as a value: an error, or a value that is written and read again to the same bytes.
#include <coproc/detail/value.hpp>

#include "../wire/every_type.hpp"

#include <cstdint>
#include <cstdlib>
#include <exception>

namespace {

// Recursive, with containers in containers: what a depth limit is for.
struct tree {
    std::vector<tree> children;
    std::map<std::string, std::vector<std::optional<int>>> names;
    std::variant<std::monostate, std::string, std::unique_ptr<tree>> extra;

    template <class Archive>
    void serialize(Archive& archive)
    {
        archive(children, names, extra);
    }
};

template <class T>
void try_as(const std::byte* data, std::size_t size)
{
    T value;
    try {
        coproc::input_archive in{data, size};
        coproc::detail::load_value(in, value);
    } catch (const std::exception&) {
        return;
    }
    coproc::detail::buffer first, second;
    coproc::output_archive out{first};
    coproc::detail::save_value(out, value);
    T again;
    coproc::input_archive in{first.data(), first.size()};
    coproc::detail::load_value(in, again);
    coproc::output_archive out_again{second};
    coproc::detail::save_value(out_again, again);
    if (in.remaining() != 0 || first.size() != second.size())
        std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    if (size == 0)
        return 0;
    const auto* bytes = reinterpret_cast<const std::byte*>(data + 1);
    switch (data[0] % 4) {
    case 0: try_as<wire_test::every_type>(bytes, size - 1); break;
    case 1: try_as<tree>(bytes, size - 1); break;
    case 2: try_as<std::vector<std::shared_ptr<std::string>>>(bytes, size - 1); break;
    default: try_as<std::pair<std::shared_ptr<int>, std::vector<std::weak_ptr<std::string>>>>(bytes, size - 1);
    }
    return 0;
}
