// error: a function that returns a stream can only be called by pool.apply
#include <coproc/detail/check_call.hpp>

coproc::stream<int> f(int) { co_yield 1; }
int main() { return coproc::detail::check_call<decltype(&f), int>(); }
