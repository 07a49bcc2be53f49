// error: the function cannot be called with arguments of these types
#include <coproc/detail/check_call.hpp>

int main()
{
    auto f = [](auto a) -> decltype(a.size()) { return a.size(); };
    return coproc::detail::check_call<decltype(f), int>();
}
