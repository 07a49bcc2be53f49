// error: the function cannot be called with arguments of these types
#include <coproc/detail/check_call.hpp>

int f(int a) { return a; }
int main() { return coproc::detail::check_call<decltype(&f), std::string>(); }
