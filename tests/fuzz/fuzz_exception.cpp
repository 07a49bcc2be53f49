// Any bytes as an exception: an error, or an exception that can be looked at and sent on.
#include <coproc/error.hpp>

#include "wire/exception.hpp"

#include <cstdint>
#include <cstdlib>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    std::exception_ptr exception;
    try {
        coproc::input_archive in{reinterpret_cast<const std::byte*>(data), size};
        exception = coproc::detail::decode_exception(in);
    } catch (const std::exception&) {
        return 0;
    }
    coproc::detail::buffer buffer;
    coproc::output_archive out{buffer};
    coproc::detail::encode_exception(out, exception, "task", 1);
    coproc::input_archive in{buffer.data(), buffer.size()};
    try {
        std::rethrow_exception(coproc::detail::decode_exception(in));
    } catch (const std::exception& e) {
        const auto& remote = dynamic_cast<const coproc::remote_error&>(e);
        if (remote.what() != std::string{e.what()} || remote.task_name() != "task")
            std::abort();
    }
    return 0;
}
