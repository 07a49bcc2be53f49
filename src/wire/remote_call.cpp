#include <coproc/remote_call.hpp>

#include <coproc/error.hpp>

#include <string>

namespace coproc {
namespace {

// Two of them and a dozen others must fit into the packet that starts a worker.
constexpr std::size_t most_descriptors = 100;

} // namespace

void remote_call::keep(detail::buffer encoded)
{
    if (encoded.only_once())
        throw usage_error{"an end of a connection can't be given to all workers of a pool: it belongs to one process at a time"};
    if (auto count = encoded.attachments().size(); count > most_descriptors)
        throw usage_error{"an initializer or finalizer can't carry " + std::to_string(count) + " descriptors: at most "
                          + std::to_string(most_descriptors)};
    encoded_ = std::make_shared<const detail::buffer>(std::move(encoded));
}

} // namespace coproc
