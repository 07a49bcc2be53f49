// error: this type cannot be sent to another process
#include <coproc/detail/check_call.hpp>

struct opaque {
    int* p;
};
coproc::stream<opaque> f(int) { co_return; }
int main() { return coproc::detail::check_generator<decltype(&f), int>(); }
