#include "process/launch.hpp"

#include "os/calls.hpp"
#include "os/error.hpp"
#include "os/memory_file.hpp"
#include "os/packet.hpp"
#include "os/program_file.hpp"
#include "process/runtime.hpp"

#include <coproc/error.hpp>
#include <coproc/serialize.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <memory>

namespace coproc {

template <class Archive>
void serialize(Archive& archive, process_info& info)
{
    archive(info.name, info.pid);
}

namespace detail {
namespace {

constexpr std::uint8_t start_kind = 'S', version = 1;

// Which descriptors come with the packet, in this order, before the call's own.
struct attached {
    std::array<bool, 3> standard{};
    bool working_directory = false;
    bool memory_file = false;

    template <class Archive>
    void serialize(Archive& archive)
    {
        archive(standard, working_directory, memory_file);
    }
};

// The parent's stream as it is now, which need not be what the fork server once got; one that is closed becomes /dev/null,
// lest something else takes its number.
os::descriptor kept_stream(int number)
{
    int copy = os::duplicate(number);
    if (copy >= 0)
        return os::descriptor{copy};
    if (errno != EBADF)
        os::fail("passing on a standard stream");
    return os::open_file("/dev/null", number == 0 ? O_RDONLY : O_WRONLY);
}

os::descriptor open_stream(const standard_stream& stream, int number, start_method method, os::descriptor& ours)
{
    std::string path{stream.path};
    switch (stream.to) {
    case standard_stream::target::keep: return kept_stream(number);
    case standard_stream::target::null:
        if (number == 0 && method != start_method::fork)
            return {}; // as it is there already
        return os::open_file("/dev/null", number == 0 ? O_RDONLY : O_WRONLY);
    case standard_stream::target::file: return os::open_file(path.c_str(), number == 0 ? O_RDONLY : O_WRONLY | O_CREAT | O_TRUNC);
    case standard_stream::target::append: return os::open_file(path.c_str(), O_WRONLY | O_CREAT | O_APPEND);
    case standard_stream::target::pipe: break;
    }
    auto ends = os::make_pipe();
    ours = std::move(number == 0 ? ends.second : ends.first);
    ours.set_non_blocking(true);
    return std::move(number == 0 ? ends.first : ends.second);
}

} // namespace

launch prepare(const process_options& options, buffer call, std::array<os::descriptor, 3>& ours)
{
    launch result;
    auto& runtime = this_runtime();
    result.name = options.name.empty() ? "process-" + std::to_string(++runtime.names) : std::string{options.name};
    result.method = options.method.value_or(runtime.method);
    for (auto& variable : options.environment)
        result.environment.emplace_back(variable.name, variable.value);
    result.clear_environment = options.clear_environment;
    const standard_stream* streams[] = {&options.standard_input, &options.standard_output, &options.standard_error};
    for (int i = 0; i < 3; ++i)
        result.standard[i] = open_stream(*streams[i], i, result.method, ours[i]);
    if (!options.working_directory.empty())
        result.working_directory = os::open_file(std::string{options.working_directory}.c_str(), O_PATH | O_DIRECTORY);
    else if (result.method == start_method::forkserver) // whose directory is the one it was started in
        result.working_directory = os::open_file(".", O_PATH | O_DIRECTORY);
    result.call = std::move(call);
    return result;
}

void launch::send(const os::descriptor& control, const os::descriptor& lifeline, const process_info& parent, start_method inherited,
                  const environment_changes& before)
{
    environment_changes changes;
    if (!clear_environment)
        changes = before;
    changes.insert(changes.end(), environment.begin(), environment.end());
    buffer packet;
    output_archive archive{packet};
    archive(start_kind, version, name, parent, inherited, this_runtime().depth + 1, changes, clear_environment);
    if (packet.size() > max_orders)
        throw usage_error{"the environment and name of a new process take more than " + std::to_string(max_orders / 1024) + " KiB"};

    std::vector<int> descriptors{lifeline.get(), os::program_file()};
    attached has;
    for (std::size_t i = 0; i < 3; ++i)
        if ((has.standard[i] = static_cast<bool>(standard[i])))
            descriptors.push_back(standard[i].get());
    if ((has.working_directory = static_cast<bool>(working_directory)))
        descriptors.push_back(working_directory.get());
    os::descriptor file;
    if ((has.memory_file = call.size() > std::min(max_inline_call, max_orders - packet.size()))) {
        file = os::make_memory_file("coproc call", call.size());
        std::memcpy(os::map(file, call.size(), os::access::read_write).data(), call.data(), call.size());
        descriptors.push_back(file.get());
    }
    for (auto& attachment : call.attachments())
        descriptors.push_back(attachment.descriptor);

    archive(has, static_cast<std::uint64_t>(call.size()));
    if (!has.memory_file)
        packet.append(call.data(), call.size());
    if (os::send_packet(control.get(), {packet.data(), packet.size()}, descriptors) != os::sent::yes)
        throw std::system_error{ENOBUFS, std::generic_category(), "sending a process its orders"};
}

order receive_order(const os::descriptor& control)
{
    auto bytes = std::make_unique<std::array<std::byte, max_packet>>();
    auto packet = os::receive_packet(control.get(), *bytes, os::wait::yes);
    if (packet.what != os::received::packet)
        throw protocol_error{"the parent of a new process ended before it said what to run"};
    input_archive archive{bytes->data(), packet.size};
    order result;
    std::uint8_t kind = 0, their_version = 0;
    attached has;
    std::uint64_t size = 0;
    archive(kind, their_version);
    if (kind != start_kind || their_version != version)
        throw protocol_error{"a new process was told something it doesn't understand"};
    archive(result.name, result.parent, result.inherited, result.depth, result.environment, result.clear_environment, has, size);

    std::size_t next = 0;
    auto take = [&] {
        if (next == packet.descriptors.size())
            throw protocol_error{"a new process misses a descriptor"};
        return std::move(packet.descriptors[next++]);
    };
    result.lifeline = take();
    result.program_file = take();
    for (std::size_t i = 0; i < 3; ++i)
        if (has.standard[i])
            result.standard[i] = take();
    if (has.working_directory)
        result.working_directory = take();
    if (has.memory_file) {
        auto file = take();
        if (size > os::size_of(file))
            throw protocol_error{"the memory file of a call is too short"};
        result.large_call = os::map(file, size, os::access::read);
        result.call = {result.large_call.data(), size};
    } else {
        if (size != archive.remaining())
            throw protocol_error{"the call for a new process is cut off"};
        const std::byte* call = archive.view(size);
        result.small_call.assign(call, call + size);
        result.call = result.small_call;
    }
    while (next != packet.descriptors.size()) {
        auto owner = std::make_shared<os::descriptor>(take());
        result.attachments.push_back({owner->get(), owner});
    }
    return result;
}

} // namespace detail
} // namespace coproc
