// error: wait_any cannot wait for this, only for connections
#include <coproc/mutex.hpp>
#include <coproc/wait_any.hpp>

int main()
{
    coproc::mutex m;
    return coproc::wait_any(m).valid();
}
