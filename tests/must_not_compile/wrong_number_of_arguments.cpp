// error: the function takes another number of arguments
#include <coproc/detail/check_call.hpp>

int f(int a, int b) { return a + b; }
int main() { return coproc::detail::check_call<decltype(&f), int>(); }
