// Any bytes as a stream of frames, in pieces of any size: what a worker makes of tasks, and a pool of results and failures.
#include "wire/bulk.hpp"
#include "wire/exception.hpp"
#include "wire/frame.hpp"

#include <coproc/detail/job.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

using namespace coproc::detail;

namespace {

std::string describe(std::string name, std::vector<int> values) { return name + std::to_string(values.size()); }

void read_task(const frame& header, std::span<const std::byte> body)
{
    coproc::input_archive in{body.data(), body.size()};
    buffer results;
    coproc::output_archive out{results};
    invocation call{in, out};
    call.count = header.count;
    decode_entry(in).plain(call);
}

void read_result(const frame& header, std::span<const std::byte> body)
{
    coproc::input_archive in{body.data(), body.size()};
    if (header.kind != frame_kind::result) {
        if (!decode_exception(in))
            std::abort();
        return;
    }
    std::vector<int> inputs(3);
    map_job<std::string, std::string (*)(int), std::views::all_t<std::vector<int>&>, false> job{{}, nullptr, inputs};
    job.results(in, 0, std::min<std::size_t>(header.count, 3));
}

/// Something to begin with: a message that is accepted. The fuzzer can't guess the check over a function's identity.
std::vector<std::byte> known_task()
{
    buffer body;
    coproc::output_archive out{body};
    encode_task_function<decltype(&describe), std::string, std::vector<int>>(out, &describe);
    return {body.data(), body.data() + body.size()};
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    static const std::vector<std::byte> task = known_task();
    if (size < 2)
        return 0;
    const std::size_t piece = 1 + data[0];
    const bool add_function = (data[1] & 1) != 0;
    std::span<const std::byte> left{reinterpret_cast<const std::byte*>(data + 2), size - 2};
    frame_reader reader;
    bulk_receiver bulk;
    std::size_t taken = 0, total = left.size();
    try {
        while (!left.empty()) {
            auto now = left.first(std::min(piece, left.size()));
            std::memcpy(reader.space(now.size()).data(), now.data(), now.size());
            reader.put(now.size());
            left = left.subspan(now.size());
            while (auto item = reader.next()) {
                taken += sizeof(frame) + item->body.size();
                if (taken > total)
                    std::abort();
                try {
                    auto body = item->body;
                    if ((item->header.flags & frame::bulk) != 0) {
                        bulk_reference reference;
                        std::memcpy(&reference, body.data(), sizeof reference);
                        body = bulk.open(reference, {});
                    }
                    if (item->header.kind == frame_kind::task && add_function) {
                        std::vector<std::byte> whole = task;
                        whole.insert(whole.end(), body.begin(), body.end());
                        read_task(item->header, whole);
                    } else if (item->header.kind == frame_kind::task)
                        read_task(item->header, body);
                    else
                        read_result(item->header, body);
                } catch (const std::exception&) { // costs one task
                }
            }
        }
    } catch (const std::exception&) { // costs the stream
    }
    return 0;
}
