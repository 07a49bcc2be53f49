// error: this is nothing that can be called
#include <coproc/detail/check_call.hpp>

int main() { return coproc::detail::check_call<int, int>(); }
