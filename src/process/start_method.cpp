#include <coproc/start_method.hpp>

#include "process/runtime.hpp"

#include <coproc/error.hpp>

namespace coproc {
namespace {

constexpr std::string_view names[] = {"forkserver", "spawn", "fork"};

}

std::string_view to_string(start_method method) noexcept { return names[static_cast<int>(method)]; }

start_method parse_start_method(std::string_view name)
{
    for (auto method : {start_method::forkserver, start_method::spawn, start_method::fork})
        if (to_string(method) == name)
            return method;
    throw usage_error{"unknown start method '" + std::string{name} + "': there are forkserver, spawn and fork"};
}

start_method get_start_method() noexcept { return detail::this_runtime().method; }

void set_start_method(start_method method, force force)
{
    auto& runtime = detail::this_runtime();
    std::scoped_lock lock{runtime.mutex};
    if (runtime.method_is_fixed && force == force::no)
        throw usage_error{"the start method is set once, before the first process is started; use a context for a part of the program"};
    runtime.method = method;
    runtime.method_is_fixed = true;
}

} // namespace coproc
