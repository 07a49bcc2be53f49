// error: cannot be sent to another process
#include <coproc/detail/check_call.hpp>

int f(int n) { return n; }
int main() { return coproc::detail::check_call<std::reference_wrapper<int(int)>, int>(); }
