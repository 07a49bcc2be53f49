// error: lambda with captures cannot be sent to another process: .*coproc::bind_front
#include <coproc/detail/check_call.hpp>

int main()
{
    int n = 1;
    auto f = [n](int x) { return n + x; };
    return coproc::detail::check_call<decltype(f), int>();
}
