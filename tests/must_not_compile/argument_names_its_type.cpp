// error: cannot_be_serialized.*opaque_thing
#include <coproc/detail/check_call.hpp>

struct opaque_thing {
    int value;
};
int f(std::vector<opaque_thing> all) { return static_cast<int>(all.size()); }
int main() { return coproc::detail::check_call<decltype(&f), std::vector<opaque_thing>>(); }
