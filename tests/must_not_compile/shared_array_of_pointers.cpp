// error: a raw pointer means nothing in another process: share indices
#include <coproc/shared_array.hpp>

int main() { return coproc::shared_array<int*>{3}.empty(); }
