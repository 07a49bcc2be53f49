// error: cannot be sent to another process: give it a cereal serialize function
#include <coproc/detail/check_call.hpp>

struct opaque {
    int value;
};
int f(opaque o) { return o.value; }
int main() { return coproc::detail::check_call<decltype(&f), opaque>(); }
