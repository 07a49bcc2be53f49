// error: the function takes another number of arguments
#include <coproc/process.hpp>

#include <string>

int f(std::string, int);
int main() { return coproc::context{coproc::start_method::spawn}.start(coproc::process_options{}, &f, "x").valid(); }
