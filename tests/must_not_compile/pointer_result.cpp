// error: a raw pointer means nothing in another process
#include <coproc/detail/check_call.hpp>

int* f(int) { return nullptr; }
int main() { return coproc::detail::check_call<decltype(&f), int>(); }
