// Any bytes as what comes over a connection, in pieces of any size: messages, and what an end takes along when it is sent.
#include "channels/message_reader.hpp"

#include <coproc/connection.hpp>
#include <coproc/error.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <map>
#include <string>
#include <system_error>
#include <vector>

using namespace coproc::detail;

namespace {

// As a receiver does; then some types, whatever was sent.
void read(message one)
{
    coproc::input_archive archive{one.body.data(), one.body.size(), &one.body.attachments()};
    try {
        if (one.type % 3 == 0) {
            coproc::connection value;
            archive(value);
        } else if (one.type % 3 == 1) {
            std::map<std::string, std::vector<int>> value;
            load_value(archive, value);
        } else {
            message_reader reader;
            reader.load(archive);
            static_cast<void>(reader.complete());
        }
    } catch (const std::exception&) { // costs the message
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    if (size < 2)
        return 0;
    const std::size_t piece = 1 + data[0];
    const bool has_header = (data[1] & 1) != 0, moves = (data[1] & 2) != 0;
    std::vector<std::byte> stream;
    if (has_header) { // the fuzzer need not guess the mark
        message_header header;
        header.size = data[1] >> 2;
        header.type = data[0];
        auto* bytes = reinterpret_cast<const std::byte*>(&header);
        stream.assign(bytes, bytes + sizeof header);
    }
    auto* rest = reinterpret_cast<const std::byte*>(data + 2);
    stream.insert(stream.end(), rest, rest + size - 2);

    message_reader reader;
    std::size_t taken = 0;
    try {
        for (std::size_t at = 0; at < stream.size();) {
            auto room = reader.space();
            auto now = std::min({piece, stream.size() - at, room.size()});
            if (now == 0)
                std::abort();
            std::memcpy(room.data(), stream.data() + at, now);
            reader.put(now);
            at += now;
            while (reader.complete()) {
                taken += sizeof(message_header) + reader.size();
                if (taken > at)
                    std::abort();
                read(reader.take());
            }
            if (moves) { // nothing of its state is lost on the way
                buffer bytes;
                coproc::output_archive out{bytes};
                reader.save(out);
                coproc::input_archive in{bytes.data(), bytes.size(), &bytes.attachments()};
                reader.load(in);
                if (reader.complete())
                    std::abort();
            }
        }
    } catch (const coproc::error&) { // costs the connection
    } catch (const std::system_error&) {
    }
    return 0;
}
