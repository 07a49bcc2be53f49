// error: trivially copyable: put what owns memory \(strings, containers\) into a shared_segment
#include <coproc/shared_array.hpp>

#include <string>

int main() { return coproc::shared_array<std::string>{3}.empty(); }
