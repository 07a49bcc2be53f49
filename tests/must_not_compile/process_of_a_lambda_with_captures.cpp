// error: lambda with captures cannot be sent to another process: .*coproc::bind_front
#include <coproc/process.hpp>

int main()
{
    int n = 1;
    return coproc::process::start([n] { return n; }).valid();
}
