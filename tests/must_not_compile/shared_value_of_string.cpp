// error: a shared value's type must be trivially copyable, .*coproc::shared_segment
#include <coproc/shared_value.hpp>

#include <string>

int main()
{
    coproc::shared_value<std::string> text;
    return 0;
}
