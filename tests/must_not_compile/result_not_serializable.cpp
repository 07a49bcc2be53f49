// error: cannot be sent to another process: give it a cereal serialize function
#include <coproc/detail/check_call.hpp>

struct opaque {
    int value;
};
opaque f(int n) { return {n}; }
int main() { return coproc::detail::check_call<decltype(&f), int>(); }
